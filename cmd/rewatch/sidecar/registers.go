package sidecar

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs"
	"rewatch/dialogs/fallback"
)

// keepRegisters has third-party REGISTERs kept while the server is down, if the operator
// wants that. Who only observes answers for nobody.
func (p *process) keepRegisters(reg prometheus.Registerer) {
	if !p.cfg.Proxy.RegisterFallback || p.cfg.Policy.DryRun {
		return
	}
	p.registers = fallback.New(fallback.Config{
		Send: func(ctx context.Context, raw []byte) dialogs.Result {
			return p.client.Forward(ctx, dialogs.Server, p.cfg.Proxy.Server.Raw, raw)
		},
		Up: func() bool {
			up, _ := p.proxy.ServerUp()
			return up
		},
	}, p.log, reg)
}
