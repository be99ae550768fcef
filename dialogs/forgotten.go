package dialogs

import "github.com/prometheus/client_golang/prometheus"

// forgotten says what was not remembered because its table was full.
type forgotten uint8

const (
	forgottenHead forgotten = iota // of a failed NOTIFY, for REWATCH_SIGNAL=notify
	forgottenGone                  // that the Journal has something to remove
	forgottenFlap                  // that a user was signed out lately
	forgottenKinds
)

func (f forgotten) String() string { return [...]string{"head", "journal-removal", "flap"}[f] }

// newForgotten resolves the counters of rewatch_forgotten_total, which is nil where
// nobody looks at it.
func newForgotten(v *prometheus.CounterVec) (counters [forgottenKinds]prometheus.Counter) {
	if v == nil {
		v = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rewatch_forgotten_total"}, []string{"what"})
	}
	for i := range forgottenKinds {
		counters[i] = v.WithLabelValues(i.String())
	}
	return counters
}
