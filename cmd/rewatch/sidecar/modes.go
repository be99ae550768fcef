package sidecar

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// What rewatch does: a closed set. All but modeNormal can be at the same time.
const (
	modeNormal = "normal"
	modeDryRun = "dry-run"
	modeByHand = "held-by-hand"
	modeHeld   = "held" // by rewatch itself, in an outage
)

// modes lists what rewatch does now; never nothing.
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

// modeMetrics tell the same; there is one for each mode from the start on.
func (p *process) modeMetrics(reg prometheus.Registerer) {
	for _, mode := range []string{modeNormal, modeDryRun, modeByHand, modeHeld} {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "rewatch_mode", Help: "1 for what rewatch does now.", ConstLabels: prometheus.Labels{"mode": mode},
		}, func() float64 {
			if slices.Contains(p.modes(), mode) {
				return 1
			}
			return 0
		}))
	}
}
