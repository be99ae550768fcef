package health

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rewatch/proxy/resolve"
)

const (
	// pingEvery is how often a silent server is pinged, pingWait how long a
	// refusal may take to come back, refusalHolds how long it counts.
	pingEvery    = 5 * time.Second
	pingWait     = 500 * time.Millisecond
	refusalHolds = 10 * time.Second
	// suspicion is how long the server may send nothing after a request: by then even the
	// 100 of a non-INVITE is due (RFC 4320 4.2).
	suspicion = 4 * time.Second
	// probeLimit is how many unanswered OPTIONS mean that it is down.
	probeLimit = 2
	// probeTimeout bounds one OPTIONS.
	probeTimeout = 2 * time.Second
	// A server that is down is sent one of trialEvery requests as a trial, or the next one
	// after trialPause.
	trialEvery = 10
	trialPause = 10 * time.Second
	// againAfter is when the server is asked again whose hop is silent while another way is open.
	againAfter = 20 * time.Second
	// healthTick is how often the state is checked.
	healthTick = time.Second
	// grace is how long a server that was never reached is not reported as down: it may be
	// started after us, as in a pod whose sidecars start first.
	grace = 90 * time.Second
)

// Config is what a Health needs.
type Config struct {
	// Hops gives the hops of the server that can be reached; none: they are not known.
	Hops func() []resolve.Hop
	// Ping sends an empty line to each of these hops, or connects to it; an error says that
	// this cannot be done. It may be called without hops, to make them known.
	Ping func([]resolve.Hop) error
	// Stands tells whether there is a connection to a hop.
	Stands func(resolve.Hop) bool
	// Probe sends OPTIONS to the server by one way, and blocks until the result is known. Nil:
	// only traffic tells.
	Probe func(ctx context.Context, way resolve.Hop) error
	// Silent is told of a hop that does not answer OPTIONS while another way to the server does;
	// otherwise: the hop itself answers by TCP. It may be nil.
	Silent func(hop resolve.Hop, otherwise bool)
	// Changed is told when the server goes down or comes back. It must not block. It may be
	// nil.
	Changed func(up bool, detail string)
	// Gone is called when the server has gone down, to end requests that are open. It must
	// not block. It may be nil.
	Gone func()
}

// Health knows whether the presence server can be reached.
type Health struct {
	cfg      Config
	lastSeen atomic.Int64 // nanoseconds
	// asked is when the first request was sent after which the server has sent nothing; 0:
	// there is none.
	asked  atomic.Int64
	isDown atomic.Bool
	// refused counts the requests since the last trial, whose key is trial and whose time is
	// tried.
	refused atomic.Int64
	trial   atomic.Uint64
	tried   atomic.Int64
	wake    chan struct{} // a way was refused, and others are left

	mu         sync.Mutex
	losses     map[resolve.Way]time.Time // when each way to the server was refused last
	detail     string
	reachable  bool // a ping was not refused
	silent     bool // down because it was silent, not because it refused
	unanswered int  // OPTIONS without an answer in a row, the last one at missed
	missed     time.Time
	mute       time.Time // when a hop was silent and another way was not; zero: lately none was
	pinged     time.Time
	born       time.Time
	untold     bool // down, and Changed was not told
}

// New makes a Health for a server that has not been reached yet.
func New(cfg Config) *Health {
	return &Health{
		cfg: cfg, detail: "not reached yet", born: time.Now(), losses: map[resolve.Way]time.Time{}, wake: make(chan struct{}, 1),
	}
}

// Down tells whether the server is known to be down.
func (h *Health) Down() bool { return h.isDown.Load() }

// Refuses tells whether a request is refused because the server is down. Some are sent as a
// trial, each with its retransmissions: a server may be there and ignore OPTIONS, and then
// only a request brings a response.
func (h *Health) Refuses(key uint64, now time.Time) bool {
	switch {
	case !h.Down() || h.trial.Load() == key:
		return false
	case h.refused.Add(1) < trialEvery && now.Sub(time.Unix(0, h.tried.Load())) < trialPause:
		return true
	}
	h.refused.Store(0)
	h.tried.Store(now.UnixNano())
	h.trial.Store(key)
	return false
}

// State is for the readiness probe: up once the server has sent something, or at least has not
// refused a ping.
func (h *Health) State() (bool, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.Down() && h.met() {
		return true, ""
	}
	return false, h.detail
}

// met tells whether the server was ever reached; the lock is held.
func (h *Health) met() bool { return h.reachable || h.lastSeen.Load() != 0 }

// Expects notes that a request is sent to the server.
func (h *Health) Expects(now time.Time) {
	if h.asked.Load() == 0 {
		h.asked.Store(now.UnixNano())
	}
}

// Seen notes that the server sent something. It is on the path of every message, so it writes
// the time only if the noted one is old enough.
func (h *Health) Seen(now time.Time) {
	n := now.UnixNano()
	if n-h.lastSeen.Load() > int64(100*time.Millisecond) {
		h.lastSeen.Store(n)
	}
	if h.asked.Load() != 0 {
		h.asked.Store(0)
	}
	if h.isDown.Load() {
		h.change(true, false, "")
	}
}

// change notes that the server is up or down, and calls Changed if that is new.
func (h *Health) change(up, silent bool, detail string) {
	h.mu.Lock()
	changed := h.isDown.Swap(!up) == up
	h.detail, h.silent = detail, silent
	if up {
		h.unanswered = 0
	}
	tell := !h.untold
	if changed {
		h.untold = !up && h.cfg.Probe != nil && !h.met() && time.Since(h.born) < grace
		tell = tell && !h.untold
	}
	h.mu.Unlock()
	if !changed {
		return
	}
	if !up {
		h.asked.Store(0)
		h.refused.Store(0)
		h.tried.Store(time.Now().UnixNano())
		if h.cfg.Gone != nil {
			h.cfg.Gone()
		}
	}
	if tell && h.cfg.Changed != nil {
		h.cfg.Changed(up, detail)
	}
}

// overdue reports a server as down that was not reached within grace.
func (h *Health) overdue(now time.Time) {
	h.mu.Lock()
	late, detail := h.untold && now.Sub(h.born) >= grace, h.detail
	h.untold = h.untold && !late
	h.mu.Unlock()
	if late && h.cfg.Changed != nil {
		h.cfg.Changed(false, detail)
	}
}

// ways are the hops of the server, and the same by TCP where that may be tried as well.
func (h *Health) ways() []resolve.Hop {
	hops := h.cfg.Hops()
	ways := slices.Clip(hops)
	for _, hop := range hops {
		if other, ok := hop.Otherwise(); ok {
			ways = append(ways, other)
		}
	}
	return ways
}

// left are those of some ways that were not refused since a time.
func (h *Health) left(ways []resolve.Hop, since time.Time) (left []resolve.Hop) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, way := range ways {
		if h.losses[way.Way()].Before(since) {
			left = append(left, way)
		}
	}
	return left
}

// Lost notes a transport error of a hop. The server is down once every way to it was refused
// since it was heard of, each lately; those that are left are tried at once.
func (h *Health) Lost(at resolve.Hop, err error) {
	ways, now := h.ways(), time.Now()
	if !slices.ContainsFunc(ways, func(way resolve.Hop) bool { return way.Way() == at.Way() }) {
		return
	}
	since := now.Add(-refusalHolds)
	h.mu.Lock()
	maps.DeleteFunc(h.losses, func(_ resolve.Way, at time.Time) bool { return at.Before(since) })
	h.losses[at.Way()] = now
	h.mu.Unlock()
	if seen := time.Unix(0, h.lastSeen.Load()); seen.After(since) {
		since = seen
	}
	if len(h.left(ways, since)) == 0 {
		h.change(false, false, at.Addr.String()+": "+err.Error())
		return
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Run checks the server until ctx is done.
func (h *Health) Run(ctx context.Context) {
	if h.cfg.Probe == nil {
		return
	}
	t := time.NewTicker(healthTick)
	defer t.Stop()
	for {
		h.look(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
			h.ping(ctx, h.left(h.ways(), time.Now().Add(-refusalHolds)))
		case <-t.C:
		}
	}
}

// look sends what is due: OPTIONS to a server that is suspect or silent, a ping to one that
// refused, or that has sent nothing for a while.
func (h *Health) look(ctx context.Context, now time.Time) {
	h.overdue(now)
	h.mu.Lock()
	silent, pinged, mute := h.silent, h.pinged, h.mute
	h.mu.Unlock()
	since := h.asked.Load()
	suspect := since != 0 && now.Sub(time.Unix(0, since)) >= suspicion
	quiet := now.Sub(time.Unix(0, h.lastSeen.Load())) >= pingEvery
	switch {
	case h.Down() && silent, !h.Down() && suspect, !mute.IsZero() && now.Sub(mute) >= againAfter:
		h.ask(ctx)
	case h.Down():
		h.ping(ctx, h.ways())
	case quiet && now.Sub(pinged) >= pingEvery:
		h.ping(ctx, h.cfg.Hops())
	}
}

// ping sends an empty line by some ways to the server, or opens the connection, and notes
// whether one of them is open.
func (h *Health) ping(ctx context.Context, ways []resolve.Hop) {
	now := time.Now()
	err := h.cfg.Ping(ways)
	h.mu.Lock()
	h.pinged = now
	if err != nil {
		h.detail = err.Error()
	}
	h.mu.Unlock()
	if err != nil {
		return
	}
	t := time.NewTimer(pingWait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return
	case <-t.C:
	}
	shut := func(way resolve.Hop) bool { return way.Transport.Reliable() && !h.cfg.Stands(way) }
	open := slices.DeleteFunc(h.left(ways, now), shut)
	if len(open) == 0 {
		return
	}
	h.mu.Lock()
	h.reachable = true
	for _, way := range open {
		delete(h.losses, way.Way()) // what was refused before says nothing any more
	}
	h.mu.Unlock()
	if h.Down() {
		h.change(true, false, "")
	}
}
