package sidecar

import (
	"fmt"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
	"rewatch/cmd/rewatch/webconfig"
)

func (b backend) Hold(reason string)        { b.p.engine.Hold().ByHand(reason) }
func (b backend) Resume() bool              { return b.p.engine.Hold().EndByHand() }
func (b backend) ResumeHop(hop string) bool { return hop != "" && b.p.engine.Hold().EndHop(hop) }
func (b backend) Modes() []string           { return b.p.modes() }
func (b backend) DryRun() bool              { return b.p.dryRun.On() }
func (b backend) SetDryRun(on bool)         { b.p.engine.SetDryRun(on) }
func (b backend) LogLevel() string          { return zerolog.GlobalLevel().String() }

// Holds gives a list that is never nil, so that its JSON is never null.
func (b backend) Holds() any {
	if holds := b.p.engine.Hold().Holds(); holds != nil {
		return holds
	}
	return []struct{}{}
}

func (b backend) SetLogLevel(text string) bool {
	level, err := config.ParseLevel(text)
	if err == nil {
		zerolog.SetGlobalLevel(level)
	}
	return err == nil
}

// protectAdmin protects the admin port as REWATCH_ADMIN_WEB_CONFIG says.
func (p *process) protectAdmin() error {
	if p.cfg.Admin.Web == "" {
		return nil
	}
	file, err := webconfig.Open(p.cfg.Admin.Web)
	if err != nil {
		return fmt.Errorf("REWATCH_ADMIN_WEB_CONFIG: %w", err)
	}
	p.admin.Protect(file)
	return nil
}
