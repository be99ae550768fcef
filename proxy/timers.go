package proxy

import (
	"context"
	"time"

	"rewatch/proxy/transaction"
)

// moment is a time as the transactions count it. It is never zero.
func (s *Server) moment(t time.Time) transaction.Moment {
	return transaction.Moment(t.Sub(s.epoch)) + 1
}

// expire fires the timers that are due, and carries out what follows.
func (w *worker) expire() {
	for i := range transaction.Shards {
		w.due = w.s.table.Expire(i, w.at, w.due[:0])
		for _, e := range w.due {
			w.perform(e)
			w.conclude(e)
		}
		clear(w.due)
	}
	w.out.Flush()
}

// runTimers fires the timers while there are transactions and the poller does not fire them.
func (s *Server) runTimers(ctx context.Context) {
	t := time.NewTicker(transaction.Tick)
	defer t.Stop()
	w := s.newWorker()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for rest := s.timersRest(); rest != nil; rest = s.timersRest() {
			t.Stop()
			empty := s.table.Len() == 0
			select {
			case <-ctx.Done():
				return
			case <-rest:
			}
			if empty { // no deadline could have passed meanwhile
				s.paused.Rested(s.moment(time.Now()))
			}
			t.Reset(transaction.Tick)
		}
		w.clock()
		if s.paused.Over(w.at, s.sockets.Unread) {
			w.expire()
		}
	}
}

// timersRest is nil while runTimers has to fire the timers. Else the channel tells when it may
// have to again.
func (s *Server) timersRest() <-chan struct{} {
	switch {
	case s.poller != nil && s.poller.turns.Load():
		return s.poller.rests
	case s.table.Len() == 0:
		return s.table.Filled()
	default:
		return nil
	}
}
