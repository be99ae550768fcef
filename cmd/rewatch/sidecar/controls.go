package sidecar

import (
	"strings"

	"github.com/rs/zerolog"
)

func (b backend) Hold(reason string)        { b.p.engine.HoldByHand(reason) }
func (b backend) Resume() bool              { return b.p.engine.EndHold() }
func (b backend) ResumeHop(hop string) bool { return hop != "" && b.p.engine.EndHop(hop) }
func (b backend) Modes() []string           { return b.p.modes() }
func (b backend) DryRun() bool              { return b.p.dryRun.On() }
func (b backend) SetDryRun(on bool)         { b.p.engine.SetDryRun(on) }
func (b backend) LogLevel() string          { return zerolog.GlobalLevel().String() }

// Holds is a list, if an empty one.
func (b backend) Holds() any {
	if holds := b.p.engine.Holds(); holds != nil {
		return holds
	}
	return []struct{}{}
}

func (b backend) SetLogLevel(text string) bool {
	level, err := zerolog.ParseLevel(strings.ToLower(text))
	if err != nil || level < zerolog.TraceLevel || level > zerolog.ErrorLevel {
		return false
	}
	zerolog.SetGlobalLevel(level)
	return true
}
