package recovery

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/queue"
	"rewatch/policy/outage"
)

// HoldConfig says what an outage is, and how its end is found out.
type HoldConfig struct {
	Limits outage.Limits
	// Shared says whether a next hop is one of the core's, which many watchers are
	// behind. It must not block; nil: none is known to be.
	Shared func(hop netip.AddrPort) bool
	// Probe asks a next hop with OPTIONS whether it is there; nil: nobody can ask.
	Probe func(ctx context.Context, hop netip.AddrPort) bool
}

// hold drives the outage.Paths: it tells it of everything that fails or gets through,
// sends the OPTIONS that it asks for, and lets the Engine know when a hold begins and
// ends.
//
// A failure is judged on its way to the Engine, under one lock; what got through arrives
// here added up. What follows from a change is done by a goroutine of its own, for it
// may concern every user.
//
// The lock of a shard may be held when that of the hold is taken, never the other
// way round.
type hold struct {
	e   *Engine
	cfg HoldConfig

	mu    sync.Mutex
	paths *outage.Paths
	hosts hosts
	// doubts are the failures that wait for their verdict, by hop.
	doubts  map[string][]doubt
	notices []outage.Notice // not acted upon yet
	next    time.Time       // what watch sleeps for; zero: nothing
	asks    []string        // hops to be asked
	// notes are the hops whose record waits for the Journal, told the records of those
	// that are held, restored those that an earlier process has left.
	notes    map[string]struct{}
	told     map[string]outage.Record
	restored []outage.Record
	hand     byHand
	open     atomic.Bool // something is held

	wake, released chan struct{}
	running        sync.WaitGroup
	cancel         context.CancelFunc
}

// doubt is a failure that waits for its verdict.
type doubt struct {
	aor string
	try outage.Try
}

func newHold(e *Engine, cfg HoldConfig) *hold {
	return &hold{
		e: e, cfg: cfg, paths: outage.NewPaths(cfg.Limits), doubts: make(map[string][]doubt),
		notes: make(map[string]struct{}), told: make(map[string]outage.Record),
		wake: make(chan struct{}, 1), released: make(chan struct{}, 1),
		cancel: func() {},
	}
}

func (h *hold) start(ctx context.Context) {
	ctx, h.cancel = context.WithCancel(ctx)
	h.raiseRestored()
	queue.Signal(h.released) // an earlier process may not have worked off all
	h.running.Go(func() { h.watch(ctx) })
	h.running.Go(func() { h.workOff(ctx) })
}

func (h *hold) stop() {
	h.cancel()
	h.running.Wait()
}

// any says whether anything is held.
func (h *hold) any() bool { return h.open.Load() }

// held says whether what is behind a hop is held.
func (h *hold) held(hop string) bool {
	if !h.open.Load() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hand.on() || h.paths.Held(hop)
}

// goAhead says whether one user may go on though the hop is held.
func (h *hold) goAhead(hop string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.hand.on() && h.paths.GoAhead(hop)
}

// judgedBy is the hop of the record that a hop is held by, if it is.
func (h *hold) judgedBy(hop string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.paths.JudgedBy(hop)
}

// through tells that a request of rewatch's own got through to a user.
func (h *hold) through(hop, aor string) {
	var got outage.Passes
	got.Add(time.Now(), dialogs.UserID(aor))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.take(outage.Proven, h.paths.Passed(time.Now(), hop, got))
}

// began says since when the failures over a hop that is held are the outage's.
func (h *hold) began(hop string) (time.Time, bool) {
	if !h.open.Load() {
		return time.Time{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	record, held := h.told[h.paths.JudgedBy(hop)]
	return record.Since, held
}

// failed judges a NOTIFY that failed.
func (h *hold) failed(f *dialogs.Failure, hop string) outage.Verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hosts.saw(f.Hop, hop)
	try := outage.Try{
		Hop: hop, User: dialogs.UserID(f.AOR), Sent: f.Sent, At: f.Event.At,
		Refused: !f.Silent, Unreachable: f.Unreachable, Core: h.core(hop),
	}
	v := h.take(h.paths.Failed(try))
	if h.hand.on() {
		return outage.Outage
	}
	if v == outage.Ask {
		h.asks = append(h.asks, hop)
	}
	if doubted := v == outage.Ask || v == outage.Wait; doubted && f.Witness && len(h.doubts[hop]) == 0 {
		h.doubts[hop] = []doubt{{"", try}} // of nobody: it tells of the hop alone
	} else if doubted && !f.Witness {
		h.doubts[hop] = append(h.doubts[hop], doubt{f.AOR, try})
	}
	return v
}

// core says whether the configuration names a hop.
func (h *hold) core(hop string) bool {
	addr, err := netip.ParseAddrPort(hop)
	return err == nil && h.cfg.Shared != nil && h.cfg.Shared(addr)
}

// prove judges a request of our own that failed, and asks the hop if need be. It is true
// if the path is proven.
func (h *hold) prove(ctx context.Context, try outage.Try) bool {
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

// mayBlame says whether a user may be told once more, or given up: the path is proven.
// told is when it was told last.
func (h *hold) mayBlame(now time.Time, hop, aor string, told time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.take(h.paths.MayBlame(now, hop, dialogs.UserID(aor), told, h.core(hop)))
	if v == outage.Ask {
		h.asks = append(h.asks, hop)
	}
	return v == outage.Proven
}

// passed takes what got through over a hop.
func (h *hold) passed(at time.Time, addr netip.AddrPort, hop string, got outage.Passes) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hosts.saw(addr, hop)
	h.take(outage.Proven, h.paths.Passed(at, hop, got))
}

// heard takes requests that came from a neighbour. By TCP that has another port than
// requests to it go to.
func (h *hold) heard(at time.Time, source netip.AddrPort, got outage.Passes) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hop := hopName(source)
	if !h.paths.Knows(hop) {
		hop = h.hosts.hop(source, hop)
	}
	h.take(outage.Proven, h.paths.Passed(at, hop, got))
}

// take notes what has changed, to be acted upon, and gives back the verdict; h is locked.
func (h *hold) take(v outage.Verdict, notices []outage.Notice) outage.Verdict {
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

// hopName is how the Paths know a hop; empty if it is not known.
func hopName(hop netip.AddrPort) string {
	if !hop.IsValid() {
		return ""
	}
	return hop.String()
}

// hosts remember the last hop at each address that requests went to.
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
