package recovery

import (
	"context"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/queue"
	"rewatch/policy/outage"

	"rewatch/policy/alarm"
)

// HoldConfig says what an outage is, and how its end is found out.
type HoldConfig struct {
	Rules outage.Rules
	// Shared says whether a next hop is one of the core's, which many watchers are
	// behind. Such a one is held as soon as it cannot be reached. It must not
	// block; nil: none is known to be.
	Shared func(hop netip.AddrPort) bool
	// Probe asks a next hop with OPTIONS whether it is there; nil: nobody asks,
	// and only a NOTIFY that passes ends an outage.
	Probe func(ctx context.Context, hop netip.AddrPort) bool
}

// hold drives the outage.Detector: it tells it of every NOTIFY, sends the probes
// that it asks for, and lets the Engine know when an outage begins and ends.
//
// A failure is judged on its way to the Engine, under one lock; successes arrive
// here added up. What follows from a change is done by a goroutine of its own, for
// it may concern every user.
//
// The lock of a shard may be held when that of the hold is taken, never the other
// way round.
type hold struct {
	e   *Engine
	cfg HoldConfig

	// window is that of the detector.
	window time.Duration

	mu       sync.Mutex
	detector *outage.Detector
	changes  []outage.Change // not acted upon yet
	next     time.Time       // what watch sleeps for; zero: nothing
	// notes are the scopes that wait for the Journal, told what was told of each when
	// it began, restored those that an earlier process has left.
	notes    map[string]struct{}
	told     map[string]outage.Change
	restored []outage.Change
	since    map[string]time.Time
	silent   strangers
	open     atomic.Bool // something is held

	wake, released chan struct{}
	running        sync.WaitGroup
	cancel         context.CancelFunc
}

// probeTimeout bounds one probe.
const probeTimeout = 4 * time.Second

func newHold(e *Engine, cfg HoldConfig) *hold {
	detector := outage.New(cfg.Rules)
	return &hold{
		e: e, cfg: cfg, detector: detector, window: detector.Rules().Window,
		since: make(map[string]time.Time), notes: make(map[string]struct{}), told: make(map[string]outage.Change),
		wake: make(chan struct{}, 1), released: make(chan struct{}, 1),
		cancel: func() {},
	}
}

func (h *hold) start(ctx context.Context) {
	ctx, h.cancel = context.WithCancel(ctx)
	for _, c := range h.restored {
		h.e.alarms.Raise(alarm.Of(alarm.CoreOutage, objectOf(c.Scope), outageText(c), c.At))
	}
	h.restored = nil
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
	return h.detector.Held(hop)
}

// began says since when the failures over a hop that is held are the outage's.
func (h *hold) began(hop string) (time.Time, bool) {
	if !h.open.Load() {
		return time.Time{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if since, overall := h.since[outage.Overall]; overall {
		return since, true
	}
	since, held := h.since[hop]
	return since, held
}

// failed judges one failure, and says whether an outage is to blame for it.
func (h *hold) failed(f *dialogs.Failure, hop string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := f.Event.At
	who := maphash.String(h.e.seed, f.AOR)
	h.observe(outage.Outcome{At: at, Sent: f.Sent, Hop: hop, Watcher: who})
	if f.Unreachable && h.shared(f.Hop, hop, who, at) {
		h.take(h.detector.Unreachable(at, hop))
	}
	return h.detector.Excused(hop, f.Sent) || f.Silent && h.detector.Aftermath(hop, f.Sent)
}

// suspect says whether an outage may have begun that is not noticed yet.
func (h *hold) suspect(at time.Time, hop string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.detector.Suspect(at, hop)
}

// hushed says whether an outage may be about to be noticed.
func (h *hold) hushed(at time.Time, hop string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.detector.Hushed(at, hop)
}

// answered takes the outcome of a MESSAGE to one whom an outage broke.
func (h *hold) answered(aor, hop string, sent time.Time, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observe(outage.Outcome{
		At: time.Now(), Sent: sent, Hop: hop, Watcher: maphash.String(h.e.seed, aor), OK: ok,
	})
}

// observe lets the detector judge; h is locked.
func (h *hold) observe(o outage.Outcome) {
	h.take(h.detector.Observe(o))
	if next := h.detector.Next(); !next.IsZero() && (h.next.IsZero() || next.Before(h.next)) {
		queue.Signal(h.wake)
	}
}

// shared says whether more than one phone is behind a hop: it is one of the
// core's, or it has failed enough different watchers. A phone that is reached
// without a core between is a hop as well, and a dead phone is no outage.
func (h *hold) shared(addr netip.AddrPort, hop string, who uint64, at time.Time) bool {
	rules := h.detector.Rules()
	return h.cfg.Shared != nil && h.cfg.Shared(addr) ||
		h.silent.add(hop, who, at, rules.Window) >= rules.MinWatchers
}

// passed takes the NOTIFYs that got through over a hop.
func (h *hold) passed(at time.Time, hop string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.take(h.detector.Passed(at, hop, n))
}

// take notes changes to be acted upon; h is locked.
func (h *hold) take(changes []outage.Change) {
	for _, c := range changes {
		switch {
		case c.From == outage.Closed:
			h.since[c.Scope], h.told[c.Scope] = c.Since, c
		case c.To == outage.Closed:
			delete(h.since, c.Scope)
			delete(h.told, c.Scope)
		default:
			continue
		}
		h.notes[c.Scope] = struct{}{}
	}
	if len(changes) == 0 {
		return
	}
	h.open.Store(len(h.since) > 0)
	h.changes = append(h.changes, changes...)
	queue.Signal(h.wake)
}

// hopName is how the Detector knows a hop. One that is not known counts for all
// hops together.
func hopName(hop netip.AddrPort) string {
	if !hop.IsValid() {
		return outage.Overall
	}
	return hop.String()
}

// strangers remembers which different watchers a hop that takes nothing has
// failed, no more of them than are needed to tell a core from a phone.
type strangers map[string]map[uint64]time.Time

const (
	maxSilentHops = 1024
	maxStrangers  = 512
)

// add notes one, and says how many there were in the window.
func (s *strangers) add(hop string, who uint64, at time.Time, window time.Duration) int {
	if *s == nil {
		*s = make(strangers)
	}
	seen := (*s)[hop]
	if seen == nil {
		if len(*s) >= maxSilentHops {
			s.sweep(at, window)
		}
		if len(*s) >= maxSilentHops {
			return 1
		}
		seen = make(map[uint64]time.Time)
		(*s)[hop] = seen
	}
	forgetOld(seen, at, window)
	if len(seen) < maxStrangers {
		seen[who] = at
	}
	return len(seen)
}

func (s *strangers) sweep(at time.Time, window time.Duration) {
	for hop, seen := range *s {
		if forgetOld(seen, at, window); len(seen) == 0 {
			delete(*s, hop)
		}
	}
}

func forgetOld(seen map[uint64]time.Time, at time.Time, window time.Duration) {
	for who, last := range seen {
		if at.Sub(last) > window {
			delete(seen, who)
		}
	}
}
