package proxy

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/wire"
)

// What ends a request before any response does.
var (
	errNoHop    = errors.New("no next hop")
	errNoSocket = errors.New("no socket of that side speaks the next hop's transport")
	errStreams  = errors.New("too many streams")
	errEdits    = errors.New("more Route entries of ours than a message can have")
	errBusy     = errors.New("503 from the next hop")
	errRefused  = errors.New("refused by the network (ICMP)")
)

// again handles a request that has a record already; false: it has none.
func (w *worker) again(from flow, key uint64) bool {
	m := &w.msg
	if bytes.Equal(m.Method, mACK) {
		return false
	}
	t := ticket{key: key, record: key, loop: w.s.loopHash(m, from)}
	if bytes.Equal(m.Method, mCANCEL) {
		t.record ^= cancelTwist
	}
	s := w.s.table.shard(t.record)
	s.mu.Lock()
	r := s.byKey[t.record]
	if r == nil {
		s.mu.Unlock()
		return false
	}
	h, absorb := r.hop(), r.absorb || r.phase == judged || r.resend
	answer := append(w.build[:0], r.answer...)
	w.build = answer
	s.mu.Unlock()
	switch {
	case len(answer) > 0:
		w.sendBack(from, w.topVia(), answer)
	case absorb: // on its way already, or answered with silence
	default:
		w.route(from)
		w.emitRecorded(from, t, h)
	}
	return true
}

// ending is what is left of a record when its transaction is over.
type ending struct {
	key     uint64
	kind    dialogs.OutcomeKind
	from    flow
	raw     []byte
	ref     dialogs.Ref
	cseq    uint32
	notify  bool
	invite  bool
	created time.Time
	hop     hop
	// status, reason and retryAfter are those of the response, if one came; late
	// if it came after the verdict.
	status, retryAfter int
	reason             []byte
	late               bool
}

// ending copies what is needed; the caller holds the shard's lock.
func (w *worker) ending(r *record, kind dialogs.OutcomeKind) ending {
	e := ending{
		key: r.key, kind: kind, from: r.from, raw: slices.Clone(r.raw), ref: r.ref, cseq: r.cseq,
		notify: r.notify, invite: r.invite, created: r.created, hop: r.hop(), retryAfter: -1,
	}
	if kind == dialogs.Responded {
		e.status, e.reason, e.retryAfter = w.msg.Status, w.msg.Reason, w.msg.Number(wire.RetryAfter)
	}
	return e
}

func (e *ending) outcome(at time.Time, head []byte) dialogs.Outcome {
	return dialogs.Outcome{
		Kind: e.kind, At: at, Late: e.late, Status: e.status, Reason: e.reason, RetryAfter: e.retryAfter,
		CSeq: e.cseq, Hop: e.hop.addr, Head: head,
	}
}

// judge asks the Monitor what the server gets for a NOTIFY that was not answered
// with a 2xx. true: the response at hand is to be passed on.
func (w *worker) judge(e ending) bool {
	v := w.s.cfg.Monitor.NotifyDone(e.ref, e.outcome(w.now, w.s.headOf(&e)))
	relay := v.Relay && e.kind == dialogs.Responded
	switch {
	case relay:
		w.keepAnswer(e.key, w.stripped())
	case v.Status != 0:
		w.answerEnded(&e, v.Status, v.Reason)
	}
	if v.Then == nil {
		return relay
	}
	if relay {
		b, _ := w.s.ownBranch(firstValue(&w.msg))
		w.relay(b)
	}
	w.flush() // what follows from the failure must not overtake the answer
	v.Then()
	return false
}

// lateResponse tells the Monitor that a NOTIFY was answered after its verdict.
func (w *worker) lateResponse(e ending) {
	e.late = true
	v := w.s.cfg.Monitor.NotifyDone(e.ref, e.outcome(w.now, nil))
	if v.Then != nil {
		v.Then()
	}
}

func firstValue(m *wire.Message) []byte {
	v, _ := m.Value(wire.Via)
	v, _ = wire.Split(v)
	return v
}

// keepAnswer stores what retransmissions of a judged request get.
func (w *worker) keepAnswer(key uint64, b []byte) {
	s := w.s.table.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.byKey[key]; r != nil {
		r.answer = append(r.answer[:0], b...)
	}
}

// answerEnded answers a request whose record ended, from its copy. It uses a
// worker of its own, because a response may be at hand in this one.
func (w *worker) answerEnded(e *ending, status int, reason string) {
	own := w.s.borrow()
	defer w.s.giveBack(own)
	if wire.Scan(e.raw, &own.msg) != nil && own.msg.Count(wire.Via) == 0 {
		return
	}
	b, ok := own.answer(e.from, status, reason)
	if !ok {
		return
	}
	own.sendBack(e.from, own.topVia(), b)
	if status >= 200 {
		own.keepAnswer(e.key, b)
	}
}

// headOf is the request as it was forwarded, start line and headers without our Via.
func (s *Server) headOf(e *ending) []byte {
	w := s.borrow()
	defer s.giveBack(w)
	if err := wire.Scan(e.raw, &w.msg); err != nil && w.msg.Body == 0 {
		return nil
	}
	w.route(e.from)
	return w.edits.AppendRange(nil, w.msg.Raw, 0, w.msg.Body)
}

// failed is a transport error of a record's present hop. The next one is tried,
// if there is one; else the transaction is over. stream, if not 0, is the
// connection that failed: an error of one that was left already says nothing.
func (w *worker) failed(key, stream uint64, err error) {
	s := w.s.table.shard(key)
	s.mu.Lock()
	r := s.byKey[key]
	if r == nil || r.phase != open || (stream != 0 && r.stream != stream) {
		s.mu.Unlock()
		return
	}
	h := r.hop()
	w.s.log.Debug().Err(err).Stringer("hop", h.addr).Msg("next hop failed")
	if !w.another(r, err) {
		e := w.over(s, r, dialogs.Unreachable)
		s.mu.Unlock()
		w.s.lost(h, w.now, err)
		w.conclude(e)
		return
	}
	raw, from, next, t := slices.Clone(r.raw), r.from, r.hop(), ticket{key: r.key, loop: r.loop, record: r.key}
	s.wheel.set(r, w.next(r))
	s.mu.Unlock()
	w.resend(raw, from, next, t)
}

// another chooses what to try next: the same hop by UDP, if only the size asked
// for TCP; the same hop once more, if a connection that had stood before broke
// (the peer may have closed it while idle); the next hop.
func (w *worker) another(r *record, err error) bool {
	h := r.hop()
	r.stream = 0
	switch {
	case h.upgraded:
		w.s.noTCP.add(h.addr, w.now)
		h.network, h.upgraded = udp, false
		r.absorb = false
		r.resend = r.from.local.network.reliable()
		if r.resend {
			r.interval = w.s.cfg.T1
			r.resendAt = w.now.Add(r.interval)
		}
		r.setHop(h)
		return true
	case h.network.reliable() && !r.retried && errors.Is(err, errStaleStream):
		r.retried = true
		return true
	case r.more():
		w.s.markBad(h.addr, w.now)
		r.hopAt++
		r.retried = false
		r.absorb = r.hop().network.reliable()
		return true
	}
	return false
}

// errStaleStream marks the end of a connection that had carried messages before.
var errStaleStream = errors.New("connection ended")

// resend sends a kept request to a hop.
func (w *worker) resend(raw []byte, from flow, h hop, t ticket) {
	own := w.s.borrow()
	defer w.s.giveBack(own)
	if err := wire.Scan(raw, &own.msg); err != nil {
		return
	}
	own.route(from)
	own.emitRecorded(from, t, h)
}

// over marks a record judged and gives what is left of it; the caller holds the lock.
func (w *worker) over(s *shard, r *record, kind dialogs.OutcomeKind) ending {
	e := w.ending(r, kind)
	r.phase = judged
	s.wheel.set(r, w.now.Add(64*w.s.cfg.T1))
	return e
}

// conclude ends a transaction that got no response.
func (w *worker) conclude(e ending) {
	switch {
	case e.notify:
		w.judge(e)
	case e.kind == dialogs.Unreachable:
		w.s.metrics.refused(refusedUnavailable)
		w.answerEnded(&e, 503, "Next Hop Unreachable")
	case e.invite:
		w.answerEnded(&e, 408, "Request Timeout")
	default:
		// A proxy sends no 408 to a non-INVITE (RFC 4320 4.2).
		w.s.metrics.dropped(dropTimeout, 1)
	}
}

// due handles the records of one shard whose deadline has passed.
func (w *worker) due(s *shard, scratch []*record) []*record {
	var ended []ending
	var again []resending
	s.mu.Lock()
	list := s.wheel.expired(w.now, scratch[:0])
	for _, r := range list {
		switch {
		case r.phase != open:
			w.s.table.remove(s, r)
		case !w.now.Before(r.giveUp):
			ended = append(ended, w.over(s, r, dialogs.TimedOut))
		default:
			again = w.overdue(s, r, again)
		}
	}
	s.mu.Unlock()
	for i := range again {
		again[i].do(w)
	}
	for i := range ended {
		w.conclude(ended[i])
	}
	return list[:0]
}

// resending is something to be sent for a record once the lock is free.
type resending struct {
	raw     []byte
	from    flow
	hop     hop
	ticket  ticket
	hundred bool
}

func (a *resending) do(w *worker) {
	if !a.hundred {
		w.resend(a.raw, a.from, a.hop, a.ticket)
		return
	}
	own := w.s.borrow()
	defer w.s.giveBack(own)
	_ = wire.Scan(a.raw, &own.msg)
	if b, ok := own.answer(a.from, 100, "Trying"); ok {
		own.sendBack(a.from, own.topVia(), b)
	}
}

// overdue does what is due for an open record before its end: retransmit, go on
// to the next hop, or say 100.
func (w *worker) overdue(s *shard, r *record, list []resending) []resending {
	t := ticket{key: r.key, loop: r.loop, record: r.key}
	send := false
	if !r.resendAt.IsZero() && !w.now.Before(r.resendAt) {
		r.interval *= 2
		if !r.invite {
			r.interval = min(r.interval, w.s.cfg.T2)
		}
		if r.proceeding {
			r.interval = w.s.cfg.T2
		}
		r.resendAt = w.now.Add(r.interval)
		send = true
	}
	if !r.nextHop.IsZero() && !w.now.Before(r.nextHop) {
		r.nextHop = time.Time{}
		if r.more() && !r.proceeding {
			w.s.markBad(r.hop().addr, w.now)
			r.hopAt++
			r.nextHop = w.now.Add(r.giveUp.Sub(w.now) / time.Duration(len(r.hops)-r.hopAt))
			send = true
		}
	}
	if send {
		list = append(list, resending{raw: slices.Clone(r.raw), from: r.from, hop: r.hop(), ticket: t})
	}
	if !r.hundred && !r.invite && !w.now.Before(r.created.Add(7*w.s.cfg.T1)) {
		r.hundred = true
		list = append(list, resending{raw: slices.Clone(r.raw), from: r.from, hundred: true})
	}
	s.wheel.set(r, w.next(r))
	return list
}
