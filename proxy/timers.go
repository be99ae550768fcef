package proxy

import (
	"context"
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
				s.paused.Rested(s.moment(time.Now()))
			}
			t.Reset(transaction.Tick)
		}
		w.clock()
		if s.paused.Over(w.at, s.unread) {
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
