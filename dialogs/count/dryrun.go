package count

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// The actions that a dry run does not carry out.
const (
	DryMessage    = "message"
	DryNotify     = "notify"
	DryDeregister = "deregister"
	DryBan        = "ban"
	DryRefuse     = "refuse"
	DryAnswer     = "answer"
	DryAlarm      = "alarm"
	DryProbe      = "probe"
	DryExpires    = "expires"
)

// DryRun counts the actions that would have been carried out.
type DryRun struct{ counter *prometheus.CounterVec }

// NewDryRun registers the counter, or uses the registered one: Monitor and Engine share it.
func NewDryRun(reg prometheus.Registerer) DryRun {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rewatch_dry_run_total", Help: "Actions that a dry run has not carried out.",
	}, []string{"action"})
	if reg != nil {
		if err := reg.Register(c); err != nil {
			there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
			if !ok {
				panic(err)
			}
			return DryRun{there.ExistingCollector.(*prometheus.CounterVec)}
		}
	}
	for _, action := range []string{
		DryMessage, DryNotify, DryDeregister, DryBan, DryRefuse, DryAnswer, DryAlarm, DryProbe, DryExpires,
	} {
		c.WithLabelValues(action)
	}
	return DryRun{c}
}

// Did counts an action that was not carried out.
func (d DryRun) Did(action string) { d.counter.WithLabelValues(action).Inc() }
