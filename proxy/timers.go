package proxy

import (
	"slices"

	"rewatch/dialogs"
)

// dues is what turning one wheel left to be done; its room is used again.
type dues struct {
	list  []*record
	ended []ending
	again []resending
}

// due handles the records of one shard whose deadline has passed. Under the lock
// it only notes what is to be done.
func (w *worker) due(s *shard, d *dues) {
	d.ended, d.again = d.ended[:0], d.again[:0]
	s.mu.Lock()
	d.list = s.wheel.expired(w.at, d.list[:0])
	for _, r := range d.list {
		switch {
		case r.phase == open && w.at < r.giveUp:
			w.overdue(s, r, d)
		case r.phase == open && r.invite && r.proceeding:
			// Timer C. To cut off a call that is only slow would be worse than
			// to go on without a record.
			w.s.table.remove(s, r)
			w.s.metrics.dropped(dropTimeout, 1)
		case r.phase == open:
			d.ended = append(d.ended, w.outlived(s, r, dialogs.TimedOut))
		case r.more.resendAt != 0 && w.at < r.giveUp:
			w.answerAgain(s, r, d)
		default:
			w.s.table.remove(s, r)
		}
	}
	clear(d.list)
	s.mu.Unlock()
	for i := range d.again {
		d.again[i].do(w)
	}
	for i := range d.ended {
		w.conclude(d.ended[i])
	}
	clear(d.again)
	clear(d.ended)
}

// answerAgain retransmits the final response to an INVITE until its ACK (Timer G).
func (w *worker) answerAgain(s *shard, r *record, d *dues) {
	own := r.own()
	own.interval = min(2*own.interval, w.s.cfg.T2)
	own.resendAt = max(own.resendAt.add(own.interval), w.at)
	d.again = append(d.again, resending{raw: slices.Clone(r.text), from: r.from, what: sendAnswer})
	s.wheel.set(r, sooner(own.resendAt, r.giveUp))
}

// overdue does what is due for an open record before its end: retransmit, go on
// to the next hop, or say 100.
func (w *worker) overdue(s *shard, r *record, d *dues) {
	send := w.retransmission(r)
	if r.more.nextHop != 0 && w.at >= r.more.nextHop {
		r.own().nextHop = 0
		if len(r.more.rest) > 0 && !r.proceeding {
			w.markBad(r.hop())
			w.turn(r)
			send = true
		}
	}
	if send {
		d.again = append(d.again, w.resending(r))
	}
	if !r.hundred && !r.invite && w.at >= r.created.add(timerE2(w.s.cfg.T1)) {
		r.hundred = true
		d.again = append(d.again, resending{raw: slices.Clone(r.text), from: r.from, what: sendTrying})
	}
	s.wheel.set(r, r.due(w.s.cfg.T1))
}

// retransmission tells whether the request has to be sent again now (Timers A
// and E, RFC 3261 17.1.1.2 and 17.1.2.2), and sets the timer anew.
func (w *worker) retransmission(r *record) bool {
	if r.more.resendAt == 0 || w.at < r.more.resendAt {
		return false
	}
	own := r.own()
	if !r.resend { // it waited for a connection (see later)
		own.resendAt = 0
		return true
	}
	own.interval *= 2
	if !r.invite {
		own.interval = min(own.interval, w.s.cfg.T2)
		if r.proceeding {
			own.interval = w.s.cfg.T2
		}
	}
	own.resendAt = max(own.resendAt.add(own.interval), w.at) // a late tick delays no later one
	return true
}
