package proxy

import (
	"hash/maphash"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// Deliver sends a NOTIFY once more that the server has sent before, and for which it has
// its answer: the same bytes, by a new branch, the same way. How that ends comes back by
// Config.Delivered with the id, which is not 0. It is false where there is no room for it
// now. The parcel is not kept.
func (s *Server) Deliver(id uint64, p dialogs.Parcel) bool {
	w := s.borrow()
	defer s.giveBack(w)
	if s.table.Scarce() || int(p.Local) >= len(s.locals) || !w.Load(p.Raw) {
		return false
	}
	w.deliver(id, p, maxParkings)
	return true
}

// deliver sends the NOTIFY at hand, as soon as the name of its hop is known. lookups is
// how many it may wait for.
func (w *worker) deliver(id uint64, p dialogs.Parcel, lookups int) {
	from := flow{local: w.s.locals[p.Local], addr: p.From}
	callID, _ := w.Msg.Value(wire.CallID)
	pending, err := w.candidates(w.route(from), callID, w.now)
	switch {
	case err == nil && pending != (resolve.Target{}) && lookups > 0:
		s := w.s
		p.Raw = append([]byte(nil), p.Raw...)
		s.cfg.Resolver.Await(pending, asker(&w.Draft, from), func([]resolve.Hop, error) {
			own := s.borrow()
			defer s.giveBack(own)
			if own.Load(p.Raw) { // it was read before
				own.deliver(id, p, lookups-1)
			}
		})
		return
	case err != nil, pending != (resolve.Target{}):
		w.s.cfg.Delivered(id, dialogs.Outcome{Kind: dialogs.Unreachable, At: w.now, RetryAfter: -1})
		return
	}
	w.large(from)
	t := ticket{key: w.s.deliveryKey(id), loop: w.LoopHash(byte(from.side()))}
	t.record = t.key
	q := transaction.Request{
		Kind: transaction.Notify, Subject: id, Loop: t.loop, Hops: w.hops, Whole: true,
		From: transaction.Origin{Addr: p.From, Local: p.Local, Reliable: true, Own: true},
	}
	q.CSeq, _, _ = w.Msg.CSeqValue()
	if !w.s.table.Begin(t.key, w.at, &q, w.Msg.Raw) {
		w.s.cfg.Delivered(id, dialogs.Outcome{Kind: dialogs.Unreachable, At: w.now, RetryAfter: -1})
		return
	}
	w.emitRecorded(from, t, w.hops[0])
}

// Hurry sends again at once what was sent by Deliver with that id, and is open still:
// its device is alive.
func (s *Server) Hurry(id uint64) { s.table.Hurry(s.deliveryKey(id), s.moment(time.Now())) }

// Recall ends what was sent by Deliver with that id: it is not sent again, and Delivered
// is not told how it ends.
func (s *Server) Recall(id uint64) { s.table.Close(s.deliveryKey(id), s.moment(time.Now())) }

// Overdue has the Monitor take the NOTIFY of a transaction into its own hands, if it has
// no response yet: its device is alive, and whoever has it on the way may let seconds
// pass before it is sent again. What the Monitor does not take goes on.
func (s *Server) Overdue(key uint64) {
	e := s.table.Open(key)
	if !e.Known {
		return
	}
	now := time.Now()
	e.End = transaction.TimedOut
	o := s.outcome(finished{Effect: e, retryAfter: -1}, now, nil)
	o.Early = true
	v := s.cfg.Monitor.NotifyDone(dialogs.Ref(e.Subject), o)
	if v.Status == 0 || !s.table.Outlive(key, s.moment(now)) { // its response has come
		return
	}
	s.answerFor(e, v)
	if !e.Hop.Transport.Reliable() { // the sooner it is answered, the sooner what follows may go
		e.Do = transaction.Send
		s.resend(e)
	}
}

// deliveryKey is what such a transaction is known by.
func (s *Server) deliveryKey(id uint64) uint64 { return maphash.Comparable(s.delivers, id) | 1 }

// delivered tells how such a NOTIFY ended.
func (s *Server) delivered(f finished, now time.Time) {
	if f.Kind != transaction.Notify {
		return // a CANCEL, of which nobody asks
	}
	o := s.outcome(f, now, nil)
	o.Parcel = dialogs.Parcel{}
	s.cfg.Delivered(f.Subject, o)
}
