package admin

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxAdminConns bounds the connections of the admin server, maxAnswers the
	// answers that are made at a time from what may be large.
	maxAdminConns = 256
	maxAnswers    = 8
	// answerWait is how long a request waits for its turn.
	answerWait = 2 * time.Second
)

// guard bounds what the admin server takes upon itself. Where there are too many
// connections, the one that has been without a request for longest is closed: one
// that never sends its request, or keeps the connection for another one, must not
// keep out a probe of the kubelet's, upon whose failure the process is restarted.
type guard struct {
	refused *prometheus.CounterVec
	busy    chan struct{}

	mu    sync.Mutex
	conns map[net.Conn]*guarded
	turn  uint64
}

// guarded is one connection.
type guarded struct {
	serving bool   // a request is being answered
	since   uint64 // the turn from which on there was none
}

func newGuard(reg prometheus.Registerer) *guard {
	g := &guard{
		busy:  make(chan struct{}, maxAnswers),
		conns: make(map[net.Conn]*guarded),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rewatch_admin_refused_total", Help: "What the admin server refused because there was too much of it.",
		}, []string{"what"}),
	}
	reg.MustRegister(g.refused)
	for _, what := range []string{refusedConnection, refusedAnswer} {
		g.refused.WithLabelValues(what)
	}
	return g
}

const (
	refusedConnection = "connection"
	refusedAnswer     = "answer"
)

// watch puts the guard in front of a server.
func (g *guard) watch(s *http.Server) {
	s.ConnState = g.state
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, guardedConn{}, c)
	}
}

// guardedConn is the key of the connection in a request's context.
type guardedConn struct{}

// state follows the connections.
func (g *guard) state(c net.Conn, s http.ConnState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch s {
	case http.StateNew:
		g.turn++
		g.conns[c] = &guarded{since: g.turn}
		if len(g.conns) > maxAdminConns {
			g.makeRoom(c)
		}
	case http.StateClosed, http.StateHijacked:
		delete(g.conns, c)
	case http.StateActive, http.StateIdle:
	}
}

// makeRoom closes the connection that has been without a request for longest; the
// newcomer, if all others have one. The lock is held.
func (g *guard) makeRoom(newcomer net.Conn) {
	victim := newcomer
	for c, state := range g.conns {
		if !state.serving && state.since < g.conns[victim].since {
			victim = c
		}
	}
	delete(g.conns, victim)
	g.refused.WithLabelValues(refusedConnection).Inc()
	_ = victim.Close()
}

// serving notes that the connection of a request has one, until it is called again
// with false.
func (g *guard) serving(r *http.Request, yes bool) {
	c, _ := r.Context().Value(guardedConn{}).(net.Conn)
	g.mu.Lock()
	defer g.mu.Unlock()
	if state := g.conns[c]; state != nil {
		g.turn++
		state.serving, state.since = yes, g.turn
	}
}

// noted tells the guard of every request.
func (g *guard) noted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.serving(r, true)
		defer g.serving(r, false)
		next.ServeHTTP(w, r)
	})
}

// bounded lets so many answers be made at a time. The others wait for their turn,
// with nothing gathered for them yet, and are told to come again.
func (g *guard) bounded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		patience := time.NewTimer(answerWait)
		defer patience.Stop()
		select {
		case g.busy <- struct{}{}:
			defer func() { <-g.busy }()
			next(w, r)
		case <-r.Context().Done():
		case <-patience.C:
			g.refused.WithLabelValues(refusedAnswer).Inc()
			w.Header().Set("Retry-After", "1")
			writeError(w, http.StatusServiceUnavailable, "too many requests at a time; try again in a second")
		}
	}
}
