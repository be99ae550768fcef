package proxy

import (
	"hash/maphash"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// Deliver sends a NOTIFY again that the server has sent before, and that was answered then:
// the same bytes the same way, with a new branch. Config.Delivered is told how it ends, with
// the id, which is not 0. false: there is no room for it now. The parcel is not kept.
func (s *Server) Deliver(id uint64, p dialogs.Parcel) bool {
	w := s.borrow()
	defer s.giveBack(w)
	if s.table.Scarce() || int(p.Local) >= len(s.sockets.All) || !w.Load(p.Raw) {
		return false
	}
	w.deliver(id, p, maxParkings)
	return true
}

// deliver sends the NOTIFY at hand, as soon as the address of its hop is known. It waits for
// at most so many lookups.
func (w *worker) deliver(id uint64, p dialogs.Parcel, lookups int) {
	from := flow{socket: w.s.sockets.All[p.Local], addr: p.From}
	callID, _ := w.Msg.Value(wire.CallID)
	pending, err := w.router.Candidates(w.route(from), callID, w.now)
	switch {
	case err == nil && pending != (resolve.Target{}) && lookups > 0:
		s := w.s
		p.Raw = append([]byte(nil), p.Raw...)
		s.cfg.Resolver.Await(pending, asker(&w.Draft, from), func([]resolve.Hop, error) {
			own := s.borrow()
			defer s.giveBack(own)
			if own.Load(p.Raw) {
				own.deliver(id, p, lookups-1)
			}
		})
		return
	case err != nil, pending != (resolve.Target{}):
		w.s.cfg.Delivered(id, dialogs.Outcome{Kind: dialogs.Unreachable, At: w.now, RetryAfter: -1})
		return
	}
	w.upgrade(from)
	t := ticket{key: w.s.deliveryKey(id), loop: w.LoopHash(byte(from.side()))}
	t.record = t.key
	q := transaction.Request{
		Kind: transaction.Notify, Subject: id, Loop: t.loop, Hops: w.router.Hops, Whole: true,
		From: transaction.Origin{Addr: p.From, Local: p.Local, Reliable: true, Own: true},
	}
	q.CSeq, _, _ = w.Msg.CSeqValue()
	if !w.s.table.Begin(t.key, w.at, &q, w.Msg.Raw) {
		w.s.cfg.Delivered(id, dialogs.Outcome{Kind: dialogs.Unreachable, At: w.now, RetryAfter: -1})
		return
	}
	w.emitRecorded(from, t, w.router.Hops[0])
}

// Hurry sends a NOTIFY of Deliver again at once, if it is still open: its device has shown
// that it is alive.
func (s *Server) Hurry(id uint64) { s.table.Hurry(s.deliveryKey(id), s.moment(time.Now())) }

// Recall ends a NOTIFY of Deliver: it is not sent again, and Delivered is not told how it
// ends.
func (s *Server) Recall(id uint64) { s.table.Close(s.deliveryKey(id), s.moment(time.Now())) }

// Overdue ends a NOTIFY that has no response yet early, if the Monitor wants to deliver it
// itself: its device is alive, but a proxy on the way may wait for seconds before it
// retransmits. If the Monitor does not want it, the transaction goes on.
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
	if v.Status == 0 || !s.table.CloseUnanswered(key, s.moment(now)) { // its response has come
		return
	}
	s.answerFor(e, v)
	if !e.Hop.Transport.Reliable() { // the sooner it is answered, the sooner the next NOTIFY may be sent
		e.Do = transaction.Send
		s.resend(e)
	}
}

// deliveryKey is the key of the transaction of Deliver.
func (s *Server) deliveryKey(id uint64) uint64 { return maphash.Comparable(s.delivers, id) | 1 }

// delivered tells Config.Delivered how a NOTIFY ended.
func (s *Server) delivered(f finished, now time.Time) {
	if f.Kind != transaction.Notify {
		return // a CANCEL, whose end nobody waits for
	}
	o := s.outcome(f, now, nil)
	o.Parcel = dialogs.Parcel{}
	s.cfg.Delivered(f.Subject, o)
}
