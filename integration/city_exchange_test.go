//go:build integration

package integration

import (
	"sync"
	"time"
)

// Timers of the client transactions of a city (RFC 3261 17.1.2).
const (
	timerE  = 500 * time.Millisecond
	timerT2 = 4 * time.Second
	timerF  = 32 * time.Second
)

// exchanges are the open client transactions of a lean peer.
type exchanges struct {
	*peer
	mu   sync.Mutex
	open map[string]*exchange // by branch
}

// exchange is one request that awaits its final response.
type exchange struct {
	transport, to string
	raw           []byte
	born, next    time.Time
	pause         time.Duration
	done          func(*message) // nil: there was no response
}

// exchanging starts a lean peer with transactions at an address of the site.
func (s *site) exchanging(name string, last, port int, serve func(*peer, *message)) *exchanges {
	s.t.Helper()
	x := &exchanges{open: map[string]*exchange{}}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.peer = s.leanPeer(name, last, port, func(m *message) { serve(x.self(), m) }, x.response)
	x.work.Go(x.keepTime)
	return x
}

// self is the peer, once it has been started.
func (x *exchanges) self() *peer {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.peer
}

// ask sends a request; done is called once, with the final response or without one.
func (x *exchanges) ask(transport, to string, raw []byte, done func(*message)) {
	now := time.Now()
	x.mu.Lock()
	x.open[parse(raw).branch()] = &exchange{
		transport: transport, to: to, raw: raw, born: now, next: now.Add(timerE), pause: timerE, done: done,
	}
	x.mu.Unlock()
	x.send(transport, to, raw)
}

func (x *exchanges) response(m *message) {
	if m.status < 200 || len(m.all("via")) == 0 {
		return
	}
	x.mu.Lock()
	e := x.open[m.branch()]
	delete(x.open, m.branch())
	x.mu.Unlock()
	if e != nil {
		e.done(m)
	}
}

// keepTime is Timers E and F of all of them.
func (x *exchanges) keepTime() {
	for !x.isClosed() {
		time.Sleep(50 * time.Millisecond)
		again, over := x.due(time.Now())
		for _, e := range again {
			x.send(e.transport, e.to, e.raw)
		}
		for _, e := range over {
			e.done(nil)
		}
	}
}

func (x *exchanges) due(now time.Time) (again, over []*exchange) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for branch, e := range x.open {
		switch {
		case now.Sub(e.born) >= timerF:
			delete(x.open, branch)
			over = append(over, e)
		case e.transport == "udp" && !now.Before(e.next):
			e.pause = min(2*e.pause, timerT2)
			e.next = e.next.Add(e.pause)
			again = append(again, e)
		}
	}
	return again, over
}
