package monitor

import (
	"context"
	"net/netip"
	"slices"
	"sync"
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
	// AnswerPassthrough relays the response of the watcher.
	AnswerPassthrough
	// AnswerSilent sends no response: Timer F of the server ends the subscription.
	AnswerSilent
)

// String gives the value of REWATCH_ANSWER.
func (a Answer) String() string { return [...]string{"481", "passthrough", "silent"}[a] }

// Config says what is watched and what a failure means.
type Config struct {
	// Events are the event packages that are recovered; "*" (or none) is all.
	Events []string
	// FailureRFC: codes that end only the transaction (RFC 5057) are no failure.
	FailureRFC bool
	Answer     Answer
	// Recover says which watchers are recovered; nil: all. The outcome of a NOTIFY to any
	// other watcher is relayed unchanged. It must not block.
	Recover func(watcher string) bool
	// SignalNotify keeps the head of a failed NOTIFY for Termination.
	SignalNotify bool
	// MaxSubscriptions bounds the number of subscriptions, and also that of registrations;
	// 0 is no bound.
	MaxSubscriptions int
	// MaxPerWatcher bounds the subscriptions of one watcher; 0 is no bound.
	MaxPerWatcher int
	// NotifyTimeout is the deadline of a NOTIFY transaction.
	NotifyTimeout time.Duration
	// DryRun, while it is on: everything is forwarded and relayed unchanged.
	DryRun *dialogs.DryRun
	// MaxExpires is REWATCH_MAX_EXPIRES in seconds, 0 if it is not set. A dry run counts
	// the SUBSCRIBEs that it would shorten.
	MaxExpires int
	// Forgotten counts what was not remembered, by the label what; nil: not counted.
	Forgotten *prometheus.CounterVec
	// Post keeps NOTIFYs that could not be delivered; nil: none is kept. Content gives the
	// Content-Type, the Content-Encoding and the body of a message.
	Post    Post
	Content func(raw []byte) (kind, encoding string, body []byte)
	// Instance is the name under which other replicas find what this process keeps; "":
	// there are none. Claim takes a subscription for which an earlier process kept NOTIFYs;
	// false: another replica has taken it.
	Instance string
	Claim    func(key string) bool
	// Overdue makes the SIP path call NotifyDone, with Early, for an open transaction; nil:
	// NOTIFYs are not kept before they have ended.
	Overdue func(transaction uint64)
	// RoutingFault, if not nil, is called upon a response that shows a broken path (482,
	// 483, 502). It must not block.
	RoutingFault func(hop netip.AddrPort, watcher string, status int)
}

// Monitor watches SUBSCRIBEs, NOTIFYs and REGISTERs and judges the outcome of each NOTIFY.
// Its methods may be called from any goroutine.
type Monitor struct {
	reporter
	parcels parcels
	periods *periods.Periods

	cancel context.CancelFunc // nil before Start
	ended  chan struct{}
}

// New makes a Monitor that fills a Table and tells rec what happens. After Start it notices
// expiries as well. A nil reg leaves the metrics unregistered.
func New(t *Table, rec dialogs.Recovery, log zerolog.Logger, reg prometheus.Registerer) *Monitor {
	if t.shared != nil {
		rec = identities.Recovery{Recovery: rec, Set: t.identities}
	}
	return &Monitor{
		reporter: reporter{
			Table:      t,
			rec:        rec,
			log:        log,
			metrics:    newMonitorMetrics(reg),
			throughput: throughput.New(rec, t.drain),
			ladder:     trace.Ladder{Recovery: rec},
			noAnswer:   "no response after " + t.cfg.NotifyTimeout.String(),
		},
		parcels: parcels{t},
		periods: periods.New(rec, t, t.shared),
	}
}

// Start begins the expiry sweeps and the collections; they end with ctx or with
// Shutdown. It is called once.
func (m *Monitor) Start(ctx context.Context) {
	m.giveUpLost(time.Now(), m.cfg.Claim)
	ctx, m.cancel = context.WithCancel(ctx)
	m.ended = make(chan struct{})
	go func() {
		defer close(m.ended)
		var running sync.WaitGroup
		running.Go(func() { repeat(ctx, time.Second, expiry{m}.sweep) })
		running.Go(func() { repeat(ctx, throughput.Every, m.throughput.Collect) })
		running.Wait()
	}()
}

// repeat calls do again and again until ctx ends.
func repeat(ctx context.Context, every time.Duration, do func(time.Time)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			do(now)
		}
	}
}

// Shutdown ends the sweeps and the collections and waits for their end. The error is the one
// of ctx if that ends first.
func (m *Monitor) Shutdown(ctx context.Context) error {
	if m.cancel == nil {
		return nil
	}
	m.cancel()
	select {
	case <-m.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rules are the decisions that follow from the configuration alone.
type rules struct {
	cfg       Config
	allEvents bool
	dryRun    count.DryRun
}

func newRules(cfg Config, reg prometheus.Registerer) rules {
	all := len(cfg.Events) == 0 || slices.Contains(cfg.Events, "*")
	return rules{cfg: cfg, allEvents: all, dryRun: count.NewDryRun(reg)}
}

// recovers says whether an event package is one of REWATCH_EVENTS. A NOTIFY
// without Event belongs to no package.
func (r *rules) recovers(pkg []byte) bool {
	if len(pkg) == 0 || r.allEvents {
		return len(pkg) > 0
	}
	return slices.Contains(r.cfg.Events, string(pkg))
}

// spares says whether the watcher is left out of the recovery (REWATCH_RECOVER).
func (r *rules) spares(watcher string) bool {
	return r.cfg.Recover != nil && !r.cfg.Recover(watcher)
}

// refused says whether the requests of a user are refused: it is banned, and this is no dry run.
func (m *Monitor) refused(aor string, at time.Time) bool {
	return m.rec.Banned(aor, at) && !m.cfg.DryRun.On()
}

// instant is the time of a message; now, if the message has none.
func instant(at time.Time) time.Time {
	if at.IsZero() {
		return time.Now()
	}
	return at
}
