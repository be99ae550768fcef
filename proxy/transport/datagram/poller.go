package datagram

import (
	"sync"
	"time"
)

// Poller reads several sockets with one goroutine. While datagrams come often it waits for them in
// the kernel and keeps its processor of the Go scheduler (a P) to itself: being parked and woken by
// the runtime costs a round of the scheduler for each datagram and sometimes a system call. While
// datagrams come seldom the goroutine parks like any other.
//
// A poller that keeps its processor gives it up when the runtime demands it, as the garbage
// collector does: the runtime's signal ends the wait. Other goroutines run on other processors
// meanwhile, so there must be one more; Held is for that.
//
// # Why
//
// At 2,000 NOTIFYs a second forwarding costs 0.74 of what Kamailio needs with it and 0.89
// without it: a sixth.
type Poller struct {
	// Held, if set before Serve, is told when the poller begins to keep its processor
	// to itself and when it has given it back, by the goroutine that serves.
	Held func(held bool)

	packets []*Packet
	mu      sync.Mutex
	serving bool
	closed  bool
	pollerSys
}

const (
	// The poller keeps its processor after so many waits within a time, until so many waits in a
	// row find nothing: each change stops the program for a moment.
	often  = 64
	within = 64 * time.Millisecond
	inVain = 10
	// patience is the longest wait meanwhile. It is also how long the runtime may have to wait
	// if its signal comes just before the wait begins. A shorter wait would be the next timer of
	// the processor, which has to be set each time.
	patience = 20 * time.Millisecond
	// yields is after how many waits the poller yields, so that the runtime sees that it is
	// alive; the runtime would send a signal after 10 ms.
	yields = 32
)

// Close ends Serve, which then returns net.ErrClosed. The sockets stay open. To close
// one of the sockets closes the poller as well.
func (l *Poller) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	if l.serving {
		l.ring()
	} else {
		l.free()
	}
}

// begin tells whether the poller may serve.
func (l *Poller) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = !l.closed
	return l.serving
}

// end frees the descriptors of the poller, if it was closed meanwhile.
func (l *Poller) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = false
	if l.closed {
		l.free()
	}
}
