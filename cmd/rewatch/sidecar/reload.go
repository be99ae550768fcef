package sidecar

import (
	"context"
	"crypto/tls"
	"os"
	"time"

	"rewatch/cmd/rewatch/config"
)

// Reload is how a process that runs is told to read its files again (SIGHUP). The zero
// value never asks.
type Reload struct {
	// Asked has a value for each time.
	Asked <-chan os.Signal
	// Load gives the configuration with what the files say now.
	Load func() (config.Config, error)
}

// reloads reads the files again each time that it is asked to, until ctx ends.
func (p *process) reloads(ctx context.Context, r Reload) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.Asked:
			p.reload(r.Load)
		}
	}
}

// reload takes over what may change while rewatch runs, and logs it: the template of the MESSAGE, the
// files of TLS and the web configuration. The files are read whenever they are needed, so here they
// are only checked. If anything is wrong, everything stays as it was.
func (p *process) reload(load func() (config.Config, error)) {
	cfg, err := load()
	var until time.Time
	if err == nil && cfg.TLS.Cert != "" {
		until, err = expiry(cfg.TLS)
	}
	if err != nil {
		p.log.Error().Err(err).Msg("SIGHUP: nothing is reloaded, because of what the files say now")
		return
	}
	e := p.log.Info().Bool("template_changed", cfg.UAC.MessageTemplate != p.template)
	p.template = cfg.UAC.MessageTemplate
	p.client.SetTemplate(cfg.UAC.Template())
	if cfg.TLS.Cert != "" {
		e = e.Time("certificate_until", until)
	}
	if cfg.Admin.Web != "" {
		e = e.Str("web_config", cfg.Admin.Web)
	}
	e.Msg("SIGHUP: files are reloaded; a variable holds until rewatch is started again")
}

// expiry is when the certificate ends. The error says that it does not fit its key, or cannot be read.
func expiry(cfg config.TLSConfig) (time.Time, error) {
	pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
	if err != nil {
		return time.Time{}, err
	}
	return pair.Leaf.NotAfter, nil
}
