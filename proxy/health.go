package proxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
)

const (
	// probeEvery is how often a silent server is asked whether it is there,
	// probeDown how often one that is down.
	probeEvery = 5 * time.Second
	probeDown  = time.Second
	// probeLimit is how many unanswered probes mean that it is down.
	probeLimit = 2
	// probeTimeout bounds one probe.
	probeTimeout = 2 * time.Second
)

// health knows whether the presence server can be reached. Any message of its
// proves it; an ICMP error or a refused connection disproves it at once, and so
// do probes that stay unanswered, if an earlier one was answered (a server that
// answers no OPTIONS is not down for that).
type health struct {
	s        *Server
	lastSeen atomic.Int64 // nanoseconds
	isDown   atomic.Bool
	losses   atomic.Int64 // transport errors

	mu       sync.Mutex
	detail   string
	answered bool // a probe was answered once
	silent   int  // probes without an answer in a row
	wake     chan struct{}
}

func newHealth(s *Server) *health {
	return &health{s: s, detail: "not heard of yet", wake: make(chan struct{}, 1)}
}

func (h *health) down() bool { return h.isDown.Load() }

// state is for the readiness probe: up once something was heard of the server.
func (h *health) state() (bool, string) {
	if h.lastSeen.Load() != 0 && !h.down() {
		return true, ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return false, h.detail
}

// seen notes that the server sent something. It is on the path of every message,
// so a time that is fresh enough is left alone.
func (h *health) seen(now time.Time) {
	n := now.UnixNano()
	if n-h.lastSeen.Load() > int64(100*time.Millisecond) {
		h.lastSeen.Store(n)
	}
	if h.isDown.Load() {
		h.change(true, "")
	}
}

func (h *health) change(up bool, detail string) {
	h.mu.Lock()
	changed := h.isDown.Swap(!up) == up
	h.detail = detail
	if up {
		h.silent = 0
	}
	h.mu.Unlock()
	if !changed {
		return
	}
	if up {
		h.s.log.Info().Msg("the presence server can be reached again")
	} else {
		h.s.log.Warn().Str("reason", detail).Msg("the presence server cannot be reached")
	}
	if h.s.cfg.ServerChanged != nil {
		h.s.cfg.ServerChanged(up, detail)
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// lost notes a transport error of a hop. It concerns us if it is the server's only
// one, by the transport that leads there: that a server takes no TCP says nothing
// of one that is spoken to by UDP.
func (h *health) lost(at hop, err error) {
	if only, ok := h.only(); ok && only.addr == at.addr && only.network == at.network {
		h.losses.Add(1)
		h.change(false, at.addr.String()+": "+err.Error())
	}
}

// only gives the server's hop, if it has just one.
func (h *health) only() (hop, bool) {
	if l, ok := literal(h.s.serverURI, dialogs.Server); ok {
		return l, true
	}
	t, err := resolve.ParseURI(h.s.serverURI)
	if err != nil {
		return hop{}, false
	}
	hops, ok := h.s.cfg.Resolver.Lookup(t)
	if !ok || len(hops) != 1 {
		return hop{}, false
	}
	n, err := parseNetwork(hops[0].Transport)
	return hop{addr: hops[0].Addr, network: n}, err == nil
}

// run asks the server from time to time, when it is silent.
func (h *health) run(ctx context.Context) {
	if h.s.cfg.Probe == nil {
		return
	}
	for {
		h.probe(ctx)
		wait := probeEvery
		if h.down() || h.lastSeen.Load() == 0 {
			wait = probeDown
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-h.wake:
			t.Stop()
			if h.down() { // do not ask in the very moment of the error
				select {
				case <-ctx.Done():
					return
				case <-time.After(probeDown):
				}
			}
		case <-t.C:
		}
	}
}

func (h *health) probe(ctx context.Context) {
	now := time.Now()
	if !h.down() && now.Sub(time.Unix(0, h.lastSeen.Load())) < probeEvery {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	losses := h.losses.Load()
	err := h.s.cfg.Probe(ctx)
	if err == nil {
		h.mu.Lock()
		h.answered = true
		h.silent = 0
		h.mu.Unlock()
		h.seen(time.Now())
		return
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	h.unanswered("no answer to OPTIONS: "+err.Error(), h.losses.Load() != losses)
}

// unanswered weighs a probe that brought no answer. A server that never answers
// OPTIONS is there again as soon as the network does not refuse them.
func (h *health) unanswered(detail string, refused bool) {
	h.mu.Lock()
	h.silent++
	answered, silent := h.answered, h.silent
	if !h.isDown.Load() {
		h.detail = detail
	}
	h.mu.Unlock()
	switch {
	case answered && silent >= probeLimit:
		h.change(false, detail)
	case !answered && !refused && h.down():
		h.change(true, "")
	}
}
