package count

import "github.com/prometheus/client_golang/prometheus"

// Forgotten says what was not remembered because its table was full.
type Forgotten uint8

const (
	ForgottenHead Forgotten = iota // of a failed NOTIFY, for REWATCH_SIGNAL=notify
	ForgottenGone                  // that the Journal has something to remove
	ForgottenFlap                  // that a user was signed out lately
	ForgottenKinds
)

func (f Forgotten) String() string { return [...]string{"head", "journal-removal", "flap"}[f] }

// NewForgotten resolves the counters of rewatch_forgotten_total, which is nil where
// nobody looks at it.
func NewForgotten(v *prometheus.CounterVec) (counters [ForgottenKinds]prometheus.Counter) {
	if v == nil {
		v = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rewatch_forgotten_total"}, []string{"what"})
	}
	for i := range ForgottenKinds {
		counters[i] = v.WithLabelValues(i.String())
	}
	return counters
}
