package recovery

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"rewatch/dialogs/count"
	"rewatch/dialogs/recovery/ladder"
	"rewatch/policy"
)

// The values of the labels "result": closed sets.
const (
	resultOK          = "ok"
	resultUnsupported = "unsupported"
	resultRejected    = "rejected"
	resultTimeout     = "timeout"
	resultError       = "error"
	resultFailed      = "failed"
	resultSkipped     = "skipped"
	resultDryRun      = "dry_run"
	resultReturned    = "returned"
)

type engineMetrics struct {
	messages        *prometheus.CounterVec
	deregistrations *prometheus.CounterVec
	recoveries      *prometheus.CounterVec
	seconds         prometheus.Histogram
	returns         [policy.ByItself + 1]prometheus.Counter
	dropped         prometheus.Counter
	queueFull       *prometheus.CounterVec
	flaps           prometheus.Counter
	forgotten       [count.ForgottenKinds]prometheus.Counter
	dryRun          count.DryRun
}

// newEngineMetrics registers the metrics. Every label begins with 0, so that a rate is right
// from the first event on.
func newEngineMetrics(e *Engine, reg prometheus.Registerer) *engineMetrics {
	made := promauto.With(reg)
	m := &engineMetrics{
		messages: made.NewCounterVec(prometheus.CounterOpts{
			Name: "rewatch_messages_total", Help: "MESSAGEs sent to watchers, by their outcome.",
		}, []string{"result"}),
		deregistrations: made.NewCounterVec(prometheus.CounterOpts{
			Name: "rewatch_deregistrations_total", Help: "De-REGISTERs of users given up, by their outcome.",
		}, []string{"target", "result"}),
		recoveries: made.NewCounterVec(prometheus.CounterOpts{
			Name: "rewatch_recoveries_total", Help: "Recoveries that ended, by result.",
		}, []string{"result"}),
		seconds: made.NewHistogram(prometheus.HistogramOpts{
			Name: "rewatch_recovery_seconds", Help: "Time from when the subscription broke until all works again.",
			Buckets: []float64{0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800},
		}),
		dropped: made.NewCounter(prometheus.CounterOpts{
			Name: "rewatch_recoveries_dropped_total", Help: "Failures not acted upon because too many users are remembered.",
		}),
		queueFull: made.NewCounterVec(prometheus.CounterOpts{
			Name: "rewatch_queue_dropped_total", Help: "Requests of our own that found their queue full.",
		}, []string{"request"}),
		flaps: made.NewCounter(prometheus.CounterOpts{
			Name: "rewatch_flapping_total", Help: "De-REGISTERs put off because the user had been signed out shortly before.",
		}),
		dryRun:    count.NewDryRun(reg),
		forgotten: count.NewForgotten(e.cfg.Forgotten),
	}
	returns := made.NewCounterVec(prometheus.CounterOpts{
		Name: "rewatch_returns_total", Help: "Subscriptions that work again, by what brought the client back.",
	}, []string{"by"})
	for by := policy.ByMessage; by <= policy.ByItself; by++ {
		m.returns[by] = returns.WithLabelValues(by.String())
	}
	m.returns[policy.ByUnknown] = m.returns[policy.ByItself]
	for _, r := range []string{queueMessage, queueDeregister} {
		m.queueFull.WithLabelValues(r)
	}
	for _, r := range []string{resultOK, resultUnsupported, resultRejected, resultTimeout, resultError, resultDryRun, resultReturned} {
		m.messages.WithLabelValues(r)
	}
	for _, target := range []string{atCore, atServer} {
		for _, r := range []string{resultOK, resultFailed, resultSkipped, resultDryRun} {
			m.deregistrations.WithLabelValues(target, r)
		}
	}
	for _, r := range []string{ladder.ResultRecovered, ladder.ResultExhausted, ladder.ResultAbandoned} {
		m.recoveries.WithLabelValues(r)
	}
	engineGauges(e, made)
	return m
}

// engineGauges makes the gauges that count users.
func engineGauges(e *Engine, made promauto.Factory) {
	made.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_recoveries_active", Help: "Users with a recovery running, given up, or with an alarm.",
	}, func() float64 { return float64(e.active.Load()) })
	made.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_outage", Help: "1 while recovery is held because of an outage, else 0.",
	}, func() float64 { return float64(one(e.hold.Any())) })
	made.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_outage_watchers", Help: "Watchers who lost subscriptions in an outage and have not had their turn yet.",
	}, func() float64 { return float64(e.lost.Load()) })
}
