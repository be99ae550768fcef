package monitor

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/count"
	"rewatch/dialogs/monitor/identities"
	"rewatch/dialogs/monitor/periods"
	"rewatch/dialogs/monitor/throughput"
	"rewatch/dialogs/monitor/trace"
)

// Answer says what the server gets when one of its NOTIFYs fails.
type Answer uint8

const (
	// Answer481 is "481 Subscription Does Not Exist", upon which every server
	// deletes the subscription.
	Answer481 Answer = iota
	// AnswerPassthrough leaves the server the real response.
	AnswerPassthrough
	// AnswerSilent gives no answer: the server's own Timer F ends the
	// subscription.
	AnswerSilent
)

// String names the answer as REWATCH_ANSWER does.
func (a Answer) String() string {
	switch a {
	case AnswerPassthrough:
		return "passthrough"
	case AnswerSilent:
		return "silent"
	case Answer481:
	}
	return "481"
}

// Config is the operator's choice of what is watched and what a failure
// means.
type Config struct {
	// Events are the event packages that are recovered; "*" (or none) is all.
	Events []string
	// FailureRFC leaves out the codes that end only the transaction (RFC 5057).
	FailureRFC bool
	Answer     Answer
	// Recover says which watchers are recovered; nil: all. What becomes of a NOTIFY to
	// another one is passed on as it is. It must not block.
	Recover func(watcher string) bool
	// SignalNotify keeps the head of a failed NOTIFY for Termination.
	SignalNotify bool
	// MaxSubscriptions bounds the subscriptions, and by itself the
	// registrations; 0 is no bound.
	MaxSubscriptions int
	// MaxPerWatcher bounds those of one watcher; 0 is no bound.
	MaxPerWatcher int
	// NotifyTimeout is the deadline of a NOTIFY, told in the ladder.
	NotifyTimeout time.Duration
	// DryRun changes no answer: everything is forwarded and relayed.
	DryRun *dialogs.DryRun
	// MaxExpires is the longest subscription that would be asked of the server, in
	// seconds, but for a dry run, which counts them; 0 is any.
	MaxExpires int
	// Forgotten counts what was not remembered, by the label what; nil: not counted.
	Forgotten *prometheus.CounterVec
	// Post keeps what could not be delivered; nil: nothing is kept. Content tells the
	// Content-Type, the Content-Encoding and the body of a message.
	Post    Post
	Content func(raw []byte) (kind, encoding string, body []byte)
	// Overdue has NotifyDone told, as Early, of the NOTIFY of a transaction that is open;
	// nil: nobody does.
	Overdue func(transaction uint64)
	// RoutingFault, if not nil, is told that a response says that the path is
	// broken (482, 483, 502). It must not block.
	RoutingFault func(hop netip.AddrPort, watcher string, status int)
}

// Monitor knows who is subscribed to what and who is registered by which
// S-CSCF. Its methods may be called from any goroutine.
type Monitor struct {
	cfg      Config
	rules    rules
	parcels  parcels
	periods  *periods.Periods
	noAnswer string // the ladder's note of a timeout

	rec     dialogs.Recovery
	log     zerolog.Logger
	metrics *monitorMetrics
	*Table

	throughput *throughput.Sums
	ladder     trace.Ladder

	sweeper, collector sweeper
}

// New makes a Monitor that learns into a Table and offers what happens to rec. Start it
// for its expiries to be noticed. A nil reg leaves the metrics unregistered.
func New(t *Table, rec dialogs.Recovery, log zerolog.Logger, reg prometheus.Registerer) *Monitor {
	if t.shared != nil {
		rec = identities.Recovery{Recovery: rec, Set: t.identities}
	}
	m := &Monitor{
		Table:    t,
		cfg:      t.cfg,
		periods:  periods.New(rec, t, t.shared),
		noAnswer: "no response after " + t.cfg.NotifyTimeout.String(),
		rec:      rec,
		log:      log,
		metrics:  newMonitorMetrics(reg),
		ladder:   trace.Ladder{Recovery: rec},
	}
	m.rules = rules{cfg: t.cfg, allEvents: len(t.cfg.Events) == 0 || slices.Contains(t.cfg.Events, "*"), dryRun: m.metrics.dryRun}
	m.parcels = parcels{t, &m.rules}
	m.throughput = throughput.New(rec, t.drain)
	return m
}

// Start begins the expiry sweeps and the collections; they end with ctx or with
// Shutdown. It is called once.
func (m *Monitor) Start(ctx context.Context) {
	m.giveUpLost(time.Now())
	m.sweeper.start(ctx, time.Second, expiry{m}.sweep)
	m.collector.start(ctx, throughput.Every, m.throughput.Collect)
}

// Shutdown ends them and waits for that, at most until ctx is done.
func (m *Monitor) Shutdown(ctx context.Context) error {
	return errors.Join(m.sweeper.stop(ctx), m.collector.stop(ctx))
}

// rules are what the operator chose, as far as they decide alone.
type rules struct {
	cfg       Config
	allEvents bool
	dryRun    count.DryRun
}

// recovers says whether an event package is one of REWATCH_EVENTS. A NOTIFY
// without Event belongs to no package.
func (r *rules) recovers(pkg []byte) bool {
	if len(pkg) == 0 || r.allEvents {
		return len(pkg) > 0
	}
	return slices.Contains(r.cfg.Events, string(pkg))
}

// spares says whether a watcher is not one of those that are recovered.
func (r *rules) spares(watcher string) bool {
	return r.cfg.Recover != nil && !r.cfg.Recover(watcher)
}

// refused says whether a user is banned, and the ban is to be felt.
func (m *Monitor) refused(aor string, at time.Time) bool {
	return m.rec.Banned(aor, at) && !m.cfg.DryRun.On()
}

// instant is the time of a message; of one that tells none, now.
func instant(at time.Time) time.Time {
	if at.IsZero() {
		return time.Now()
	}
	return at
}
