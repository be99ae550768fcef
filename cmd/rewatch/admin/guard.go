package admin

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"rewatch/cmd/rewatch/webconfig"
)

const (
	// maxConns bounds the connections of the admin server, maxAnswers the large
	// answers that are made at a time, maxAnswer the bytes of a list in one of them
	// (before it is indented), maxUnread the bytes of answers that their readers have not
	// taken yet.
	maxConns   = 256
	maxAnswers = 2
	maxAnswer  = 2 << 20
	maxUnread  = 16 << 20
	// answerWait is how long a request waits for its turn to be answered.
	answerWait = 2 * time.Second
	// graceTime is how long a connection may stay in any case. It is long enough for a probe, which
	// sends its request at once.
	graceTime = 50 * time.Millisecond
)

// Budget is the memory that the admin server takes at most, in bytes: the connections, with TLS if they
// are secure; the bytes that their readers have not taken; the answers being made, each in four forms,
// the last two indented; and the copies of recoveries and alarms for an answer.
func Budget(secure bool) int64 {
	each := int64(perConn)
	if secure {
		each += webconfig.PerConn
	}
	return maxConns*each + maxUnread + maxAnswers*(8*maxAnswer+copied)
}

const (
	perConn = 40 << 10
	copied  = 4 << 20
)

// The values of the label what of rewatch_admin_refused_total.
const (
	refusedConnection = "connection"
	refusedAnswer     = "answer"
	refusedHost       = "host"
	refusedToken      = "token"
	refusedPassword   = "password"
)

// guard bounds the connections and the memory of the admin server.
//
// Its rule: rewatch never waits for one peer at the expense of another. An answer is made in memory,
// and its place is given to the next one before the first byte is sent, so a slow reader holds up
// nobody. If there are too many connections, or too many bytes that their readers have not taken, the
// connection is closed that rewatch has waited for longest: for its request, or for its reading. So a
// probe of the kubelet is answered whoever else is connected. Otherwise the kubelet would restart the
// process.
type guard struct {
	refused *prometheus.CounterVec
	busy    chan struct{}

	maxUnread int

	mu     sync.Mutex
	conns  map[net.Conn]*guarded
	unread int
}

// guarded is one connection.
type guarded struct {
	busy   bool      // its answer is being made: it waits for rewatch, not rewatch for it
	since  time.Time // the last time that it moved
	unread int       // bytes of its answer, while they are sent
}

func newGuard(reg prometheus.Registerer) *guard {
	g := &guard{
		busy: make(chan struct{}, maxAnswers), maxUnread: maxUnread,
		conns: make(map[net.Conn]*guarded),
		refused: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "rewatch_admin_refused_total", Help: "What the admin server refused: connections and answers that were too many, hosts that are not its own, wrong tokens and passwords.",
		}, []string{"what"}),
	}
	for _, what := range []string{refusedConnection, refusedAnswer, refusedHost, refusedToken, refusedPassword} {
		g.refused.WithLabelValues(what)
	}
	return g
}

// watch puts the guard in front of a server.
func (g *guard) watch(s *http.Server) {
	s.ConnState = g.follow
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, guardedConn{}, c)
	}
}

// guardedConn is the key of the connection in a request's context.
type guardedConn struct{}

// follow is called with each new state of a connection. While it waits, the server accepts no further
// connection, but those that are there are served.
func (g *guard) follow(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		g.makeRoom()
		g.mu.Lock()
		g.conns[c] = &guarded{since: time.Now()}
		g.mu.Unlock()
	case http.StateClosed, http.StateHijacked:
		g.mu.Lock()
		g.forget(c)
		g.mu.Unlock()
	case http.StateActive, http.StateIdle:
		webconfig.Said(c)
		g.mu.Lock()
		if state := g.conns[c]; state != nil {
			state.since = time.Now()
		}
		g.mu.Unlock()
	}
}

// makeRoom returns when there is room for one connection more. It closes the one that
// has not moved for longest, once the grace time of that one is over.
func (g *guard) makeRoom() {
	for {
		g.mu.Lock()
		if len(g.conns) < maxConns {
			g.mu.Unlock()
			return
		}
		victim := g.longest(func(state *guarded) bool { return !state.busy })
		wait := graceTime
		if victim != nil {
			wait -= time.Since(g.conns[victim].since)
		}
		if wait <= 0 {
			g.close(victim)
		}
		g.mu.Unlock()
		if wait > 0 {
			time.Sleep(wait)
		}
	}
}

// longest is the connection that has not moved for longest, of those that may be
// closed, or nil. The lock is held.
func (g *guard) longest(may func(*guarded) bool) net.Conn {
	var victim net.Conn
	for c, state := range g.conns {
		if may(state) && (victim == nil || state.since.Before(g.conns[victim].since)) {
			victim = c
		}
	}
	return victim
}

// close closes a connection that stands in the way. The lock is held, so nothing may
// wait for the peer: TLS would, to say goodbye.
func (g *guard) close(victim net.Conn) {
	g.forget(victim)
	g.refused.WithLabelValues(refusedConnection).Inc()
	if t, ok := victim.(interface{ NetConn() net.Conn }); ok {
		victim = t.NetConn()
	}
	_ = victim.Close()
}

func (g *guard) forget(c net.Conn) {
	if state := g.conns[c]; state != nil {
		g.unread -= state.unread
		delete(g.conns, c)
	}
}

// move notes that the connection of a request has moved, and in what way.
func (g *guard) move(r *http.Request, how func(*guarded)) {
	c, _ := r.Context().Value(guardedConn{}).(net.Conn)
	g.mu.Lock()
	defer g.mu.Unlock()
	if state := g.conns[c]; state != nil {
		state.since = time.Now()
		how(state)
	}
}

// bounded makes at most maxAnswers answers at a time. Other requests wait for answerWait, without taking
// memory; then they are refused and may be repeated.
func (g *guard) bounded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		turn := time.NewTimer(answerWait)
		defer turn.Stop()
		select {
		case g.busy <- struct{}{}:
			a := g.answer(w, r, next)
			g.send(a, r)
		case <-r.Context().Done():
		case <-turn.C:
			g.refuse(w, "too many requests at a time; try again in a second")
		}
	}
}

func (g *guard) refuse(w http.ResponseWriter, why string) {
	g.refused.WithLabelValues(refusedAnswer).Inc()
	w.Header().Set("Retry-After", "1")
	writeError(w, http.StatusServiceUnavailable, why)
}

// answer makes an answer in memory. The caller has taken its place among maxAnswers.
func (g *guard) answer(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) *answer {
	g.move(r, func(c *guarded) { c.busy = true })
	defer func() {
		<-g.busy
		g.move(r, func(c *guarded) { c.busy = false })
	}()
	a := &answer{ResponseWriter: w, status: http.StatusOK}
	next(a, r)
	return a
}

// send writes an answer to its reader, until the server's WriteTimeout ends it, or the guard because
// others need the room.
func (g *guard) send(a *answer, r *http.Request) {
	n := a.body.Len()
	if n > g.maxUnread {
		a.body.Reset()
		g.refuse(a.ResponseWriter, "the answer is too large; ask for less of it with ?limit=")
		return
	}
	g.move(r, func(c *guarded) { c.unread = n; g.unread += n })
	defer g.move(r, func(c *guarded) { g.unread -= c.unread; c.unread = 0 })
	g.mu.Lock()
	for g.unread > g.maxUnread {
		g.close(g.longest(func(state *guarded) bool { return state.unread > 0 }))
	}
	g.mu.Unlock()
	a.Header().Set("Content-Length", strconv.Itoa(n))
	a.ResponseWriter.WriteHeader(a.status)
	_, _ = a.ResponseWriter.Write(a.body.Bytes())
}

// answer is an answer that is made and not sent yet. Its header is that of the response.
type answer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
