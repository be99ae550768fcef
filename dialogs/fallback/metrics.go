package fallback

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// result is what became of a REGISTER that was answered in place of the server.
type result string

const (
	kept     result = "kept"
	replaced result = "replaced" // by a newer one of the same user
	sent     result = "sent"     // and answered with a 2xx
	refused  result = "refused"  // sent, and refused by the server
	expired  result = "expired"  // the registration had expired before the server was back
	full     result = "full"     // answered and not kept: there was no room
)

func (q *Queue) register(reg prometheus.Registerer) {
	made := promauto.With(reg)
	vec := made.NewCounterVec(prometheus.CounterOpts{
		Name: "rewatch_register_fallback_total", Help: "Third-party REGISTERs that were answered while the server was down, by what became of them.",
	}, []string{"result"})
	q.results = map[result]prometheus.Counter{}
	for _, r := range []result{kept, replaced, sent, refused, expired, full} {
		q.results[r] = vec.WithLabelValues(string(r))
	}
	made.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_register_fallback_waiting", Help: "Third-party REGISTERs that wait for the server.",
	}, func() float64 { return float64(q.Len()) })
}

func (q *Queue) count(r result) { q.results[r].Inc() }
