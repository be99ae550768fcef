// Package hold says which next hops are held: an outage is behind them, or an operator has
// stopped all recovery. It drives policy/outage: it tells it of everything that fails or gets
// through, sends the OPTIONS that it asks for, and lets the Engine know when a hold begins
// and ends.
package hold

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/queue"
	"rewatch/policy/outage"
)

// Config says what an outage is, and how its end is found out.
type Config struct {
	Limits outage.Limits
	// Shared says whether a next hop is one of the core's, so that many watchers are behind
	// it. It must not block; nil: no hop is known to be.
	Shared func(hop netip.AddrPort) bool
	// Probe asks a next hop with OPTIONS whether it is there; nil: no hop can be asked.
	Probe func(ctx context.Context, hop netip.AddrPort) bool
}

// Users are the users behind the hops. The methods are called without a lock of the Hold.
type Users interface {
	// HoldBegan tells that a hop is held. doubted are the users of the failures that
	// waited for a verdict over it; "" is no user.
	HoldBegan(r outage.Record, doubted []string)
	// HoldEnded tells that the hold of a hop is over.
	HoldEnded(hop string)
	// HandEnded tells that the hold by hand is over.
	HandEnded()
	// Judged tells what became of failures that waited for a verdict: the users of
	// those in proven are to blame, those of held were struck by an outage.
	Judged(proven, held []string)
	// Waiting counts the users who wait for the end of a hold, by the hop that is held.
	Waiting() map[string]int
	// Lost is how many watchers lost subscriptions in an outage and have not had their turn yet.
	Lost() int64
}

// Hold knows what is held. Its methods may be called from any goroutine.
//
// A failure is judged on its way to the Engine, under one lock; requests that got through
// arrive here added up. What follows from a change is done by a goroutine of its own, because
// it may concern every user.
//
// The lock of a shard of users may be held when that of the Hold is taken, never the other
// way round.
type Hold struct {
	cfg    Config
	users  Users
	alarms dialogs.Alarms
	dry    func(action string) bool
	log    zerolog.Logger

	mu    sync.Mutex
	paths *outage.Paths
	hosts hosts
	// undecided are the failures that wait for their verdict, by hop.
	undecided map[string][]undecided
	notices   []outage.Notice // not acted upon yet
	next      time.Time       // what watch sleeps for; zero: nothing
	asks      []string        // hops to be asked
	// notes are the hops whose record waits for the Journal, told the records of those that
	// are held.
	notes map[string]struct{}
	told  map[string]outage.Record
	hand  byHand
	open  atomic.Bool // something is held

	wake, released chan struct{}
	running        sync.WaitGroup
	cancel         context.CancelFunc
}

// undecided is a failure that waits for its verdict.
type undecided struct {
	aor string
	try outage.Try
}

// New makes a Hold. dry says whether this is a dry run, in which nothing is sent, and counts
// what would be done.
func New(cfg Config, users Users, alarms dialogs.Alarms, dry func(action string) bool, log zerolog.Logger) *Hold {
	return &Hold{
		cfg: cfg, users: users, alarms: alarms, dry: dry, log: log,
		paths: outage.NewPaths(cfg.Limits), undecided: make(map[string][]undecided),
		notes: make(map[string]struct{}), told: make(map[string]outage.Record),
		wake: make(chan struct{}, 1), released: make(chan struct{}, 1),
		cancel: func() {},
	}
}

// Start begins to watch the hops, until ctx ends or Stop is called.
func (h *Hold) Start(ctx context.Context) {
	ctx, h.cancel = context.WithCancel(ctx)
	h.RaiseAgain()
	h.Release() // an earlier process may not have worked off all
	h.running.Go(func() { h.watch(ctx) })
}

// Stop ends what Start began, and waits for that.
func (h *Hold) Stop() {
	h.cancel()
	h.running.Wait()
}

// Released receives when users who had to wait may go on.
func (h *Hold) Released() <-chan struct{} { return h.released }

// Release has the users looked at who wait.
func (h *Hold) Release() { queue.Signal(h.released) }

// Any says whether anything is held.
func (h *Hold) Any() bool { return h.open.Load() }

// Held says whether the users behind a hop are held.
func (h *Hold) Held(hop string) bool {
	if !h.open.Load() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hand.on() || h.paths.Held(hop)
}

// GoAhead says whether one user may go on though the hop is held.
func (h *Hold) GoAhead(hop string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.hand.on() && h.paths.GoAhead(hop)
}

// JudgedBy is the hop whose record says whether this hop is held; empty if it is judged together
// with all phones that are reached directly.
func (h *Hold) JudgedBy(hop string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.paths.JudgedBy(hop)
}

// Through tells that a request of rewatch's own got through to a user.
func (h *Hold) Through(hop, aor string) {
	var got outage.Passes
	got.Add(time.Now(), dialogs.UserID(aor))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.take(outage.Proven, h.paths.Passed(time.Now(), hop, got))
}

// Began says from when on the failures over a hop are the outage's; false if it is not held.
func (h *Hold) Began(hop string) (time.Time, bool) {
	if !h.open.Load() {
		return time.Time{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	record, held := h.told[h.paths.JudgedBy(hop)]
	return record.Since, held
}

// Failed judges a NOTIFY that failed over a hop.
func (h *Hold) Failed(f *dialogs.Failure, hop string) outage.Verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !f.Unsent {
		h.hosts.saw(f.Hop, hop)
	}
	try := outage.Try{
		Hop: hop, User: dialogs.UserID(f.AOR), Sent: f.Sent, At: f.Event.At,
		Refused: !f.Silent, Unreachable: f.Unreachable, Unsent: f.Unsent, Core: h.core(hop),
	}
	v := h.take(h.paths.Failed(try))
	if h.hand.on() {
		return outage.Outage
	}
	if v == outage.Ask {
		h.asks = append(h.asks, hop)
	}
	if doubted := v == outage.Ask || v == outage.Wait; doubted && f.Witness && len(h.undecided[hop]) == 0 {
		h.undecided[hop] = []undecided{{"", try}} // of no user: it tells of the hop alone
	} else if doubted && !f.Witness {
		h.undecided[hop] = append(h.undecided[hop], undecided{f.AOR, try})
	}
	return v
}

// core says whether the configuration names a hop.
func (h *Hold) core(hop string) bool {
	addr, err := netip.ParseAddrPort(hop)
	return err == nil && h.cfg.Shared != nil && h.cfg.Shared(addr)
}

// Prove judges a request of rewatch's own that failed, and asks the hop with OPTIONS if it has
// to. It is true if the path is proven to work, so that the failure is the user's.
func (h *Hold) Prove(ctx context.Context, try outage.Try) bool {
	h.mu.Lock()
	try.Core = h.core(try.Hop)
	v := h.take(h.paths.Failed(try))
	h.mu.Unlock()
	if v == outage.Ask {
		h.ask(ctx, try.Hop)
		h.mu.Lock()
		v = h.take(h.paths.Judge(time.Now(), try))
		h.mu.Unlock()
	}
	return v == outage.Proven
}

// MayBlame says whether a user may be sent a further MESSAGE or be given up, because the path
// is proven to work. told is when the last MESSAGE was sent.
func (h *Hold) MayBlame(now time.Time, hop, aor string, told time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.take(h.paths.MayBlame(now, hop, dialogs.UserID(aor), told, h.core(hop)))
	if v == outage.Ask {
		h.asks = append(h.asks, hop)
	}
	return v == outage.Proven
}

// Facts tells what is known of the path to a user.
func (h *Hold) Facts(hop, aor string) outage.Facts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.paths.Facts(hop, dialogs.UserID(aor))
}

// Passed takes requests that got through over a hop.
func (h *Hold) Passed(at time.Time, addr netip.AddrPort, hop string, got outage.Passes) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hosts.saw(addr, hop)
	h.take(outage.Proven, h.paths.Passed(at, hop, got))
}

// Heard takes requests that came from a neighbour. Over TCP the neighbour has another port than
// the one that requests are sent to.
func (h *Hold) Heard(at time.Time, source netip.AddrPort, got outage.Passes) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.take(outage.Proven, h.paths.Passed(at, h.behind(source), got))
}

// HopOf is the hop that requests to a neighbour are sent to.
func (h *Hold) HopOf(source netip.AddrPort) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.behind(source)
}

// behind is HopOf; h is locked.
func (h *Hold) behind(source netip.AddrPort) string {
	hop := Name(source)
	if !h.paths.Knows(hop) {
		hop = h.hosts.hop(source, hop)
	}
	return hop
}

// take notes what has changed, for act, and returns the verdict; h is locked.
func (h *Hold) take(v outage.Verdict, notices []outage.Notice) outage.Verdict {
	for _, n := range notices {
		switch n.Kind {
		case outage.Began:
			h.told[n.Hop], h.notes[n.Hop] = n.Record, struct{}{}
		case outage.Ended:
			delete(h.told, n.Hop)
			h.notes[n.Hop] = struct{}{}
		case outage.Settled:
		}
	}
	h.open.Store(h.paths.Any() || h.hand.on())
	h.notices = append(h.notices, notices...)
	if next := h.paths.Next(); len(notices) > 0 || v == outage.Ask || !next.IsZero() && (h.next.IsZero() || next.Before(h.next)) {
		queue.Signal(h.wake)
	}
	return v
}

// Name is the name of a hop in package outage; empty if the hop is not known.
func Name(hop netip.AddrPort) string {
	if !hop.IsValid() {
		return ""
	}
	return hop.String()
}

// hosts remembers the last hop at each address that requests were sent to.
type hosts map[netip.Addr]string

const maxHosts = 1024

func (s *hosts) saw(addr netip.AddrPort, hop string) {
	if *s == nil {
		*s = make(hosts)
	}
	if _, known := (*s)[addr.Addr()]; known || len(*s) < maxHosts {
		(*s)[addr.Addr()] = hop
	}
}

// hop is the hop at the address of a neighbour, or else otherwise.
func (s hosts) hop(source netip.AddrPort, otherwise string) string {
	if hop, known := s[source.Addr()]; known {
		return hop
	}
	return otherwise
}
