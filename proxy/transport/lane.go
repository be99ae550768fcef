package transport

import (
	"sync"
	"time"
)

// Lane reads several sockets with one goroutine. While datagrams come often it waits
// for them in the kernel and keeps its processor of the Go scheduler (a P) to itself:
// to be parked and woken by the runtime's poller takes a system call more for each
// datagram and a round of the scheduler, at a moderate rate up to a tenth of what
// forwarding it costs. While they come seldom the goroutine parks as any other does.
//
// A lane that keeps its processor gives it up when the runtime wants that, as the
// collector does: the runtime's signal ends the wait. The signal may come a moment too
// early and be lost, therefore no wait is longer than patience. Others run on other
// processors meanwhile, so there must be one more; Held is there for that.
type Lane struct {
	// Held, if set before Serve, is told when the lane begins to keep its processor
	// to itself and when it has given it back, by the goroutine that serves.
	Held func(held bool)

	packets []*Packet
	mu      sync.Mutex
	serving bool
	closed  bool
	laneSys
}

const (
	// The lane keeps its processor when so many waits were over within a time, and until
	// there are more waits in vain than others by so many.
	often  = 64
	within = 64 * time.Millisecond
	inVain = 16
	// patience is the longest wait while the processor is kept.
	patience = 2 * time.Millisecond
	// yields is after how many waits others are let in and the runtime sees that the
	// lane is alive; it would send a signal after 10 ms.
	yields = 32
)

// Close ends Serve, which then returns net.ErrClosed. The sockets stay open. To close
// one of the sockets closes the lane as well.
func (l *Lane) Close() {
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

// begin tells whether there is something to serve.
func (l *Lane) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = !l.closed
	return l.serving
}

// end frees what the lane has, if it was closed meanwhile.
func (l *Lane) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = false
	if l.closed {
		l.free()
	}
}
