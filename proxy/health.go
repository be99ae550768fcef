package proxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
	"rewatch/proxy/wire"
)

const (
	// pingEvery is how often a silent server is pinged, pingWait how long a
	// refusal may take to come back.
	pingEvery = 5 * time.Second
	pingWait  = 500 * time.Millisecond
	// suspicion is how long the server may leave requests without a word: by then
	// even the first 100 of a non-INVITE is due (RFC 4320 4.2).
	suspicion = 4 * time.Second
	// probeLimit is how many unanswered OPTIONS mean that it is down.
	probeLimit = 2
	// probeTimeout bounds one of them.
	probeTimeout = 2 * time.Second
	// trialEvery is how many requests to a server that is down make a trial of the last of
	// them, trialPause how much time makes one of the next.
	trialEvery = 10
	trialPause = 10 * time.Second
	// healthTick is how often all this is looked at.
	healthTick = time.Second
)

// health knows whether the presence server can be reached. Any message of its
// proves it. A silent server is pinged with an empty line (RFC 5626 4.4.1), which
// costs it nothing and shows by an ICMP error or a refused connection that nobody
// is there. Only when it leaves requests unanswered is it asked with OPTIONS, and
// when that stays unanswered too, it is down.
//
// # Why
//
// OPTIONS as the ordinary ping would be a request that an unmodified server never
// asked for, in its logs and counters all day long; some answer none, and then
// silence would prove nothing.
type health struct {
	s        *Server
	lastSeen atomic.Int64 // nanoseconds
	// asked is when the first request left that nothing has come after; 0: none.
	asked  atomic.Int64
	isDown atomic.Bool
	losses atomic.Int64 // transport errors
	// refused counts the requests since the last trial, which has the key trial and was
	// made at tried.
	refused atomic.Int64
	trial   atomic.Uint64
	tried   atomic.Int64

	mu         sync.Mutex
	detail     string
	reachable  bool // a ping was not refused
	silent     bool // down for its silence, not for a refusal
	unanswered int  // OPTIONS without an answer in a row
	pinged     time.Time
}

func newHealth(s *Server) *health { return &health{s: s, detail: "not reached yet"} }

func (h *health) down() bool { return h.isDown.Load() }

// refuses tells whether a request is refused because the server is down. Some are sent all
// the same, each with its retransmissions: a server may be there and ignore OPTIONS, and
// then nothing but a request brings a word of its.
func (h *health) refuses(key uint64, now time.Time) bool {
	switch {
	case !h.down() || h.trial.Load() == key:
		return false
	case h.refused.Add(1) < trialEvery && now.Sub(time.Unix(0, h.tried.Load())) < trialPause:
		return true
	}
	h.refused.Store(0)
	h.tried.Store(now.UnixNano())
	h.trial.Store(key)
	return false
}

// state is for the readiness probe: up once the server was heard of, or at least
// not refused.
func (h *health) state() (bool, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.down() && (h.reachable || h.lastSeen.Load() != 0) {
		return true, ""
	}
	return false, h.detail
}

// expects notes that a request has left for the server.
func (h *health) expects(now time.Time) {
	if h.asked.Load() == 0 {
		h.asked.Store(now.UnixNano())
	}
}

// seen notes that the server sent something. It is on the path of every message,
// so a time that is fresh enough is left alone.
func (h *health) seen(now time.Time) {
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

// change notes that the server is up or down, and tells of it if that is new.
func (h *health) change(up, silent bool, detail string) {
	h.mu.Lock()
	changed := h.isDown.Swap(!up) == up
	h.detail, h.silent = detail, silent
	if up {
		h.unanswered = 0
	}
	h.mu.Unlock()
	if !changed {
		return
	}
	if !up {
		h.asked.Store(0)
		h.refused.Store(0)
		h.tried.Store(time.Now().UnixNano())
	}
	if h.s.cfg.ServerChanged != nil {
		h.s.cfg.ServerChanged(up, detail)
	}
}

// lost notes a transport error of a hop. It concerns us if it is the server's only
// one, by the transport that leads there: that a server takes no TCP says nothing
// of one that is spoken to by UDP.
func (h *health) lost(at resolve.Hop, err error) {
	if crowded(err) {
		return
	}
	if only, ok := h.only(); ok && only.Addr == at.Addr && only.Transport == at.Transport {
		h.losses.Add(1)
		h.change(false, false, at.Addr.String()+": "+err.Error())
	}
}

// only gives the server's hop, if it has just one.
func (h *health) only() (resolve.Hop, bool) {
	if l, ok := route.Literal(h.s.serverURI); ok {
		return l, true
	}
	t, err := resolve.ParseURI(h.s.serverURI)
	if err != nil {
		return resolve.Hop{}, false
	}
	hops, ok := h.s.cfg.Resolver.Lookup(t)
	if !ok || len(hops) != 1 {
		return resolve.Hop{}, false
	}
	return hops[0], true
}

// run looks after the server.
func (h *health) run(ctx context.Context) {
	if h.s.cfg.Probe == nil {
		return
	}
	t := time.NewTicker(healthTick)
	defer t.Stop()
	for {
		h.look(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// look does what is due: ask a server that is suspect or silent, ping one that
// refused, or that has been quiet for a while.
func (h *health) look(ctx context.Context, now time.Time) {
	h.mu.Lock()
	silent, pinged := h.silent, h.pinged
	h.mu.Unlock()
	since := h.asked.Load()
	suspect := since != 0 && now.Sub(time.Unix(0, since)) >= suspicion
	quiet := now.Sub(time.Unix(0, h.lastSeen.Load())) >= pingEvery
	switch {
	case h.down() && silent, !h.down() && suspect:
		h.ask(ctx)
	case h.down(), quiet && now.Sub(pinged) >= pingEvery:
		h.ping(ctx, now)
	}
}

// ping sends an empty line, or opens the connection, and sees whether that is refused.
func (h *health) ping(ctx context.Context, now time.Time) {
	losses := h.losses.Load()
	err := h.s.ping()
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
	if h.losses.Load() != losses {
		return
	}
	h.mu.Lock()
	h.reachable = true
	h.mu.Unlock()
	if h.down() {
		h.change(true, false, "")
	}
}

// ask sends OPTIONS.
func (h *health) ask(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := h.s.cfg.Probe(asking)
	switch {
	case err == nil:
		h.seen(time.Now())
	case ctx.Err() == nil:
		h.mu.Lock()
		h.unanswered++
		gone := h.unanswered >= probeLimit
		h.mu.Unlock()
		if gone {
			h.change(false, true, "no answer to requests, nor to OPTIONS: "+err.Error())
		}
	}
}

var emptyLine = []byte("\r\n\r\n")

// ping touches every address of the server.
func (s *Server) ping() error {
	w := s.borrow()
	defer s.giveBack(w)
	w.Msg = wire.Message{} // none is at hand
	pending, err := w.candidates(route.Decision{URI: s.serverURI, Server: true}, nil, w.now)
	if err != nil {
		return err
	}
	if pending != (resolve.Target{}) {
		s.cfg.Resolver.Await(pending, 0, func([]resolve.Hop, error) {})
		return errResolving
	}
	for _, h := range w.hops {
		l := s.local(dialogs.Server, h.Transport, h.Addr.Addr(), nil)
		switch {
		case l == nil:
			return errNoSocket
		case h.Transport.Reliable():
			if s.streams[dialogs.Server].To(h.Addr, h.Transport == wire.TLS, h.ServerName) == nil {
				return errStreams
			}
		default:
			w.out[l.index].Add(emptyLine, h.Addr)
		}
	}
	return nil
}

var errResolving = errors.New("the name of the server is being resolved")
