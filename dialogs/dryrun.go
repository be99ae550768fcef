package dialogs

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// The actions that a dry run leaves out: a closed set.
const (
	dryMessage    = "message"
	dryNotify     = "notify"
	dryDeregister = "deregister"
	dryBan        = "ban"
	dryRefuse     = "refuse"
	dryAnswer     = "answer"
	dryAlarm      = "alarm"
	dryProbe      = "probe"
	dryExpires    = "expires"
)

// dryRun counts what would have been done.
type dryRun struct{ counter *prometheus.CounterVec }

// newDryRun registers the counter, or takes the one that is registered: Monitor
// and Engine share it.
func newDryRun(reg prometheus.Registerer) dryRun {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rewatch_dry_run_total", Help: "What a dry run has left out.",
	}, []string{"action"})
	if reg != nil {
		if err := reg.Register(c); err != nil {
			there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
			if !ok {
				panic(err)
			}
			return dryRun{there.ExistingCollector.(*prometheus.CounterVec)}
		}
	}
	for _, action := range []string{
		dryMessage, dryNotify, dryDeregister, dryBan, dryRefuse, dryAnswer, dryAlarm, dryProbe, dryExpires,
	} {
		c.WithLabelValues(action)
	}
	return dryRun{c}
}

// did counts an action that was left out.
func (d dryRun) did(action string) { d.counter.WithLabelValues(action).Inc() }
