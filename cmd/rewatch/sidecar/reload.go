package sidecar

import (
	"context"
	"crypto/tls"
	"os"
	"time"

	"rewatch/cmd/rewatch/config"
)

// Reload tells a running process to read its files again (SIGHUP). The zero value never does.
type Reload struct {
	// Asked gets a value each time that the files are to be read.
	Asked <-chan os.Signal
	// Load reads the configuration and the files that it names.
	Load func() (config.Config, error)
}

// reloads waits for r.Asked and reads the files again, until ctx ends.
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

// expiry is when the certificate of the core side ends. The error says that the certificate does not fit
// its key, or that a file cannot be read.
func expiry(cfg config.TLSConfig) (time.Time, error) {
	pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
	if err != nil {
		return time.Time{}, err
	}
	return pair.Leaf.NotAfter, nil
}
