package proxy

import (
	"context"
	"sync"
	"time"

	"rewatch/proxy/transaction"
)

// moment gives t by the Server's clock. It is never zero.
func (s *Server) moment(t time.Time) transaction.Moment { return transaction.Moment(t.Sub(s.born)) + 1 }

// expire lets the time pass for all transactions, and does what is due. Its room is
// used again.
func (w *worker) expire() {
	for i := range transaction.Shards {
		w.due = w.s.table.Expire(i, w.at, w.due[:0])
		for _, e := range w.due {
			w.carry(e)
			w.conclude(e)
		}
		clear(w.due)
	}
	w.flush()
}

// turn lets the time pass, as long as there are transactions and the poller does not.
func (s *Server) turn(ctx context.Context) {
	t := time.NewTicker(transaction.Tick)
	defer t.Stop()
	w := s.newWorker()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for rest := s.resting(); rest != nil; rest = s.resting() {
			t.Stop()
			empty := s.table.Len() == 0
			select {
			case <-ctx.Done():
				return
			case <-rest:
			}
			if empty { // there was nothing to judge meanwhile
				s.paused.rested(s.moment(time.Now()))
			}
			t.Reset(transaction.Tick)
		}
		w.clock()
		if s.paused.over(w.at, s.unread) {
			w.expire()
		}
	}
}

// resting is nil while the time has to pass here; else it tells when that may be so
// again.
func (s *Server) resting() <-chan struct{} {
	switch {
	case s.poller != nil && s.poller.turns.Load():
		return s.poller.rests
	case s.table.Len() == 0:
		return s.table.Filled()
	default:
		return nil
	}
}

// pause notices that the process did not run for a while (it was stopped, or its machine
// was), and puts deadlines off until what came in meanwhile has been read: a response that
// waits in a socket came in time.
type pause struct {
	mu   sync.Mutex
	last transaction.Moment // when it was asked last
	// since is when a pause was noticed, 0 for none; calm is when the readers of
	// connections have had their turn.
	since, calm transaction.Moment
}

const (
	// longestTick is how long a tick may take while the process runs.
	longestTick = 4 * transaction.Tick
	// readersTurn is what the readers of connections need after a pause, at least, and
	// longestRead all readers together, at most.
	readersTurn = 200 * time.Millisecond
	longestRead = 3 * time.Second
)

// over tells whether deadlines may be judged. waiting asks whether something waits to be
// read.
func (p *pause) over(at transaction.Moment, waiting func() bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	gap := p.last.Until(at)
	if p.last != 0 && gap > longestTick {
		p.calm = at.Add(readersTurn)
		if p.since == 0 {
			p.since = at
		}
	}
	p.last = at
	switch {
	case p.since == 0:
		return true
	case p.since.Until(at) < longestRead && (at < p.calm || waiting()):
		return false
	}
	p.since = 0
	return true
}

// rested says that nobody asked because there was nothing to judge.
func (p *pause) rested(at transaction.Moment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = at
}
