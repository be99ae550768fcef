package sidecar

import (
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/redelivery"
)

// newPostman makes what keeps and delivers NOTIFYs; nil where REWATCH_REDELIVER is off, or
// where the server is to see the real responses.
func (p *process) newPostman(reg prometheus.Registerer) *redelivery.Postman {
	d := p.cfg.Dialogs
	var kept func() (n, size int)
	defer func() {
		gauge := func(name, help string, value func() int) {
			reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) }))
		}
		gauge("rewatch_redeliver_kept", "NOTIFYs that are kept, to be delivered.", func() int { n, _ := kept(); return n })
		gauge("rewatch_redeliver_bytes", "Memory that they take.", func() int { _, size := kept(); return size })
	}()
	kept = func() (int, int) { return 0, 0 }
	if d.Redeliver == 0 || d.Answer == monitor.AnswerPassthrough {
		return nil
	}
	postman := redelivery.NewPostman(redelivery.Options{
		Config: redelivery.Config{For: d.Redeliver, MaxBytes: int(d.MaxRedeliver)},
		Rate:   p.cfg.UAC.MessageRate,
		Send:   func(id uint64, parcel dialogs.Parcel) bool { return p.proxy.Deliver(id, parcel) },
		Hurry:  func(id uint64) { p.proxy.Hurry(id) },
		Recall: func(id uint64) { p.proxy.Recall(id) },
		Open:   func(hop netip.AddrPort) bool { return p.engine.MayTry(hop) },
		Ended:  func(e redelivery.End, o *dialogs.Outcome) { p.monitor.Redelivered(e, o) },
	})
	kept = postman.Totals
	return postman
}
