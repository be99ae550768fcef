package monitor

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/policy"
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
	// SignalNotify keeps the head of a failed NOTIFY for Termination.
	SignalNotify bool
	// MaxSubscriptions bounds the subscriptions, and by itself the
	// registrations; 0 is no bound.
	MaxSubscriptions int
	// NotifyTimeout is the deadline of a NOTIFY, told in the ladder.
	NotifyTimeout time.Duration
	// DryRun changes no answer: everything is forwarded and relayed.
	DryRun bool
	// MaxExpires is the longest subscription that would be asked of the server, in
	// seconds, but for a dry run, which counts them; 0 is any.
	MaxExpires int
	// Forgotten counts what was not remembered, by the label what; nil: not counted.
	Forgotten *prometheus.CounterVec
	// RoutingFault, if not nil, is told that a response says that the path is
	// broken (482, 483, 502). It must not block.
	RoutingFault func(hop netip.AddrPort, status int)
}

// Monitor knows who is subscribed to what and who is registered by which
// S-CSCF. Its methods may be called from any goroutine.
type Monitor struct {
	cfg       Config
	allEvents bool
	linger    time.Duration // 64*T1
	noAnswer  string        // the ladder's note of a timeout

	rec     dialogs.Recovery
	log     zerolog.Logger
	metrics *monitorMetrics
	// seed is for what places a key, identities for what tells it from others.
	seed, identities maphash.Seed

	subs  [shards]subShard
	users [shards]userShard

	// noting: there is a Keeper, for whom changes are noted. shared is not nil
	// where other processes know the same users.
	// nextShard is where the Keeper goes on to collect.
	noting    bool
	shared    *SharedDirectory
	nextShard int
	// lapse is until when a dialog that is not known may have begun in the moments
	// that a crash took away (Unix nanoseconds); 0: it is older than this process.
	lapse int64

	births     atomic.Uint64
	records    atomic.Int64 // subscriptions in the slabs, of any phase
	live       atomic.Int64 // those that are active
	pending    atomic.Int64 // those that are requested
	texts      atomic.Int64 // bytes of the texts that are kept
	registered atomic.Int64
	heads      atomic.Int64

	// through adds up what passed over each hop, under collecting; collected is
	// when that was done last.
	collecting sync.Mutex
	through    map[netip.AddrPort]int
	collected  atomic.Int64

	sweeper, collector sweeper
}

// New makes a Monitor that offers what happens to rec. Start it for its
// expiries to be noticed. A nil reg leaves the metrics unregistered.
func New(cfg Config, rec dialogs.Recovery, log zerolog.Logger, reg prometheus.Registerer) *Monitor {
	cfg.MaxSubscriptions = cmp.Or(cfg.MaxSubscriptions, math.MaxInt32)
	m := &Monitor{
		cfg:        cfg,
		allEvents:  len(cfg.Events) == 0 || slices.Contains(cfg.Events, "*"),
		linger:     policy.TimerF,
		noAnswer:   "no response after " + cfg.NotifyTimeout.String(),
		rec:        rec,
		log:        log,
		seed:       maphash.MakeSeed(),
		identities: maphash.MakeSeed(),
		through:    make(map[netip.AddrPort]int),
	}
	for i := range m.subs {
		m.subs[i].number = uint32(i) // #nosec G115 -- below shards
		m.subs[i].waiting = make(map[uint32]waiting)
		m.subs[i].heads = make(map[uint32][]byte)
		m.subs[i].unannounced = make(map[failureKey]failure)
	}
	m.metrics = newMonitorMetrics(m, reg)
	return m
}

// Start begins the expiry sweeps and the collections; they end with ctx or with
// Shutdown. It is called once.
func (m *Monitor) Start(ctx context.Context) {
	m.sweeper.start(ctx, time.Second, m.sweep)
	m.collector.start(ctx, collectEvery, m.collect)
}

// Shutdown ends them and waits for that, at most until ctx is done.
func (m *Monitor) Shutdown(ctx context.Context) error {
	return errors.Join(m.sweeper.stop(ctx), m.collector.stop(ctx))
}

// Totals counts the NOTIFYs that were judged: those with a 2xx and those that
// failed. The share of failures over a time is the difference of two Totals.
func (m *Monitor) Totals() (passed, failed uint64) {
	for i := range m.subs {
		sh := &m.subs[i]
		sh.mu.Lock()
		passed += sh.passed
		failed += sh.failed
		sh.mu.Unlock()
	}
	return passed, failed
}

// shardNumber takes the high bits of a hash; the maps use the low ones.
func shardNumber(hash uint64) uint32 { return uint32(hash >> (64 - shardBits)) }

func (m *Monitor) subShard(hash uint64) *subShard   { return &m.subs[shardNumber(hash)] }
func (m *Monitor) userShard(hash uint64) *userShard { return &m.users[shardNumber(hash)] }

// recovers says whether an event package is one of REWATCH_EVENTS. A NOTIFY
// without Event belongs to no package.
func (m *Monitor) recovers(pkg []byte) bool {
	if len(pkg) == 0 || m.allEvents {
		return len(pkg) > 0
	}
	return slices.Contains(m.cfg.Events, string(pkg))
}

// refused says whether a user is banned, and the ban is to be felt.
func (m *Monitor) refused(aor string, at time.Time) bool {
	return m.rec.Banned(aor, at) && !m.cfg.DryRun
}

// instant is the time of a message; of one that tells none, now.
func instant(at time.Time) time.Time {
	if at.IsZero() {
		return time.Now()
	}
	return at
}
