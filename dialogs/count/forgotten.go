package count

import "github.com/prometheus/client_golang/prometheus"

// Forgotten says what was not remembered because its table was full.
type Forgotten uint8

const (
	ForgottenHead Forgotten = iota // the head of a failed NOTIFY, for REWATCH_SIGNAL=notify
	ForgottenGone                  // an entry to be removed from the Journal
	ForgottenFlap                  // a user who was signed out lately
	ForgottenKinds
)

func (f Forgotten) String() string { return [...]string{"head", "journal-removal", "flap"}[f] }

// NewForgotten gives the counters of rewatch_forgotten_total; v may be nil.
func NewForgotten(v *prometheus.CounterVec) (counters [ForgottenKinds]prometheus.Counter) {
	if v == nil {
		v = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rewatch_forgotten_total"}, []string{"what"})
	}
	for i := range ForgottenKinds {
		counters[i] = v.WithLabelValues(i.String())
	}
	return counters
}
