package monitor

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/monitor/outcome"
	"rewatch/dialogs/redelivery"
)

// eventLabel is the metric label of an event package. The set is closed, so that a peer
// cannot grow the metrics.
type eventLabel uint8

var eventLabels = [...]string{
	"other", "presence", "presence.winfo", "reg", "conference", "dialog",
	"message-summary", "xcap-diff", "ua-profile", "refer",
}

func labelOf(pkg []byte) eventLabel {
	for i := 1; i < len(eventLabels); i++ {
		if string(pkg) == eventLabels[i] {
			return eventLabel(i) // #nosec G115 -- ten of them
		}
	}
	return 0
}

// untracked says why a message is forwarded and its subscription not tracked.
type untracked uint8

const (
	tracked untracked = iota
	untrackedFull
	untrackedOversize
	untrackedMalformed
	untrackedForks
	untrackedUnconfirmed
	untrackedIdentity
	untrackedCall
	untrackedUnasserted // no identity was asserted, see dialogs.Message.Unasserted
	untrackedQuota      // the watcher has its share
	untrackedReasons
)

func (u untracked) String() string {
	return [...]string{"", "full", "oversize", "malformed", "forks", "unconfirmed", "veiled", "call", "unasserted", "quota"}[u]
}

// untrackedBy says why an ID cannot be kept; tracked if it can.
func untrackedBy(id *ident.ID) untracked {
	return [...]untracked{ident.Sound: tracked, ident.Oversize: untrackedOversize, ident.Malformed: untrackedMalformed}[id.Fault()]
}

// ignored says why the outcome of a NOTIFY was no failure.
type ignored uint8

const (
	ignoredPackage     ignored = iota // not one of REWATCH_EVENTS
	ignoredUntracked                  // see untracked
	ignoredStale                      // its subscription was removed
	ignoredDead                       // its dialog is dead
	ignoredEnded                      // its subscription had ended otherwise
	ignoredChallenge                  // 401, 407
	ignoredSuperseded                 // a newer subscription of the device exists
	ignoredTemporary                  // 491, Retry-After
	ignoredTransaction                // REWATCH_FAILURE=rfc
	ignoredScope                      // REWATCH_RECOVER, REWATCH_RECOVER_SHARE
	ignoredKept                       // it is kept and will be delivered
	ignoredCauses
)

func (i ignored) String() string {
	return [...]string{
		"package", "untracked", "stale", "dead-dialog", "ended",
		"challenge", "superseded", "temporary", "transaction", "scope", "kept",
	}[i]
}

// monitorMetrics has the counters with their labels resolved: to count is one atomic addition.
type monitorMetrics struct {
	ok, failed, ignored [len(eventLabels)]prometheus.Counter
	causes              [ignoredCauses]prometheus.Counter
	failures            *prometheus.CounterVec
	late                prometheus.Counter
	seconds             prometheus.Histogram
}

func newMonitorMetrics(reg prometheus.Registerer) *monitorMetrics {
	made := promauto.With(reg)
	mm := &monitorMetrics{
		failures: made.NewCounterVec(prometheus.CounterOpts{
			Name: "rewatch_notify_failures_total",
			Help: "Failures of subscriptions by cause: a status code, timeout, unreachable or other.",
		}, []string{"cause"}),
		late: made.NewCounter(prometheus.CounterOpts{
			Name: "rewatch_notify_late_total",
			Help: "2xx responses to NOTIFYs that had been judged failed.",
		}),
		seconds: made.NewHistogram(prometheus.HistogramOpts{
			Name:    "rewatch_notify_seconds",
			Help:    "Time from a NOTIFY to its outcome.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
	notifies := made.NewCounterVec(prometheus.CounterOpts{
		Name: "rewatch_notify_total",
		Help: "NOTIFY transactions by event package and result.",
	}, []string{"event", "result"})
	for i, event := range eventLabels {
		mm.ok[i] = notifies.WithLabelValues(event, "ok")
		mm.failed[i] = notifies.WithLabelValues(event, "failed")
		mm.ignored[i] = notifies.WithLabelValues(event, "ignored")
	}
	for _, cause := range outcome.Labels() {
		mm.failures.WithLabelValues(cause)
	}
	causes := made.NewCounterVec(prometheus.CounterOpts{
		Name: "rewatch_notify_ignored_total",
		Help: "NOTIFYs with result ignored, by the reason for it.",
	}, []string{"cause"})
	for i := range ignoredCauses {
		mm.causes[i] = causes.WithLabelValues(i.String())
	}
	return mm
}

func (mm *monitorMetrics) ignore(event eventLabel, why ignored) {
	mm.ignored[event].Inc()
	mm.causes[why].Inc()
}

// redeliveryMetrics count what becomes of NOTIFYs that were kept.
type redeliveryMetrics struct {
	results [redelivery.Results]prometheus.Counter
	seconds prometheus.Histogram
}

func newRedeliveryMetrics(reg prometheus.Registerer) *redeliveryMetrics {
	made := promauto.With(reg)
	results := made.NewCounterVec(prometheus.CounterOpts{
		Name: "rewatch_redelivered_total",
		Help: "NOTIFYs that were kept, by what became of them: delivered, replaced by newer state, given back to the recovery, or dropped with their subscription.",
	}, []string{"result"})
	rm := &redeliveryMetrics{seconds: made.NewHistogram(prometheus.HistogramOpts{
		Name:    "rewatch_redeliver_seconds",
		Help:    "Time from when a NOTIFY was kept to its delivery.",
		Buckets: []float64{1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600},
	})}
	for i := range rm.results {
		rm.results[i] = results.WithLabelValues(redelivery.Result(i).String()) // #nosec G115 -- few
	}
	return rm
}

func (rm *redeliveryMetrics) count(at time.Time, ends ...redelivery.End) {
	for i := range ends {
		rm.results[ends[i].Result].Inc()
		if ends[i].Result == redelivery.Delivered {
			rm.seconds.Observe(max(0, at.Sub(ends[i].Since).Seconds()))
		}
	}
}
