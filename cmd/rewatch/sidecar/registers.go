package sidecar

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs"
	"rewatch/dialogs/fallback"
)

// keepRegisters makes the queue for third-party REGISTERs that come while the server is down, if
// REWATCH_REGISTER_FALLBACK is set.
func (p *process) keepRegisters(reg prometheus.Registerer) {
	if !p.cfg.Proxy.RegisterFallback {
		return
	}
	p.registers = fallback.New(fallback.Config{
		Observing: p.dryRun.On,
		Send: func(ctx context.Context, raw []byte) dialogs.Result {
			return p.client.Forward(ctx, dialogs.Server, p.cfg.Proxy.Server.Raw, raw)
		},
		Up: func() bool {
			up, _ := p.proxy.ServerUp()
			return up
		},
	}, p.log, reg)
}
