package sidecar

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The modes of rewatch: a closed set. All but modeNormal may be on at the same time.
const (
	modeNormal = "normal"
	modeDryRun = "dry-run"
	modeByHand = "held-by-hand"
	modeHeld   = "held" // by rewatch itself, in an outage
)

// modes lists the modes that are on now; there is always one.
func (p *process) modes() []string {
	var now []string
	if p.dryRun.On() {
		now = append(now, modeDryRun)
	}
	for _, h := range p.engine.Hold().Holds() {
		mode := modeHeld
		if h.ByHand {
			mode = modeByHand
		}
		if !slices.Contains(now, mode) {
			now = append(now, mode)
		}
	}
	if now == nil {
		now = []string{modeNormal}
	}
	return now
}

// modeMetrics registers a gauge for each mode.
func (p *process) modeMetrics(reg prometheus.Registerer) {
	for _, mode := range []string{modeNormal, modeDryRun, modeByHand, modeHeld} {
		promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
			Name: "rewatch_mode", Help: "1 for what rewatch does now.", ConstLabels: prometheus.Labels{"mode": mode},
		}, func() float64 {
			if slices.Contains(p.modes(), mode) {
				return 1
			}
			return 0
		})
	}
}
