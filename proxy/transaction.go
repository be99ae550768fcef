package proxy

import (
	"bytes"

	"rewatch/dialogs"
	"rewatch/proxy/wire"
)

// track makes the record of the request at hand, which goes to w.hops; false: it
// has one already. ref is the subscription of a NOTIFY.
func (w *worker) track(from flow, t ticket, ref dialogs.Ref) bool {
	table := w.s.table
	s, r := table.lock(t.record)
	defer s.mu.Unlock()
	if r != nil {
		return false
	}
	r = table.add(s, t.record)
	w.describe(r, from, t)
	r.ref = ref
	switch {
	case r.absorb || r.resend || len(r.more.rest) > 0:
		s.keep(&r.text, w.msg.Raw)
	case r.notify && w.s.cfg.KeepHeads:
		s.keep(&r.text, w.msg.Raw[:w.msg.Body])
	default:
		s.keep(&r.text, w.skeleton())
	}
	s.wheel.set(r, r.due(w.s.cfg.T1))
	return true
}

// describe fills in a record.
func (w *worker) describe(r *record, from flow, t ticket) {
	m, cfg := &w.msg, &w.s.cfg
	r.loop, r.attempt = t.loop, t.attempt
	r.invite = bytes.Equal(m.Method, mINVITE)
	r.cancel = bytes.Equal(m.Method, mCANCEL)
	r.notify = w.notify(from)
	r.cseq, _, _ = m.CSeqValue()
	r.from = from
	r.goTo(w.hops[0])
	if len(w.hops) > 1 {
		own := r.own()
		for i := len(w.hops) - 1; i > 0; i-- {
			own.rest = append(own.rest, w.hops[i])
		}
	}
	r.created = w.at
	r.giveUp = w.at.add(64 * cfg.T1)
	if r.notify {
		r.giveUp = w.at.add(cfg.NotifyTimeout)
	}
	r.leaves(w.at, cfg.T1)
	r.share(w.at)
}

// skeleton is what answering the request at hand needs of it (RFC 3261 8.2.6.2): a
// start line, the Vias, From, To, Call-ID and CSeq. It is valid until the next
// message is built.
func (w *worker) skeleton() []byte {
	m := &w.msg
	b := append(append(w.build[:0], m.Method...), " sip:- SIP/2.0\r\n"...)
	for i := range m.Lines {
		switch l := &m.Lines[i]; l.Name { //nolint:exhaustive // the others are not needed
		case wire.Via, wire.From, wire.To, wire.CallID, wire.CSeq:
			b = append(b, m.Raw[l.Start:l.End]...)
		}
	}
	w.build = append(b, "\r\n"...)
	return w.build
}

// closeRecord marks a record as one that was answered here.
func (w *worker) closeRecord(key uint64) {
	s, r := w.s.table.lock(key)
	defer s.mu.Unlock()
	if r != nil && r.phase == open {
		w.judged(s, r)
	}
}

// judged notes the end of a record that rewatch itself answers. It stays for as
// long as the client may retransmit (Timer J) or a late response may come; when
// room is short, for as long as a datagram may be under way. The caller holds the
// lock of the shard.
func (w *worker) judged(s *shard, r *record) {
	r.phase = judged
	r.quiet()
	s.release(&r.text)
	linger := 64 * w.s.cfg.T1
	if w.s.table.crowded() {
		linger = lingerT4
	}
	s.wheel.set(r, w.at.add(linger))
}

// finish ends a record with the response at hand. It stays for a while, marked as
// answered, where the request came by UDP and left by a stream: a retransmission
// may still be under way, for which the response is kept. Elsewhere that follows the
// same path again, and of a NOTIFY the Monitor knows that it was answered. The
// record of an INVITE tells its ACK the way.
func (w *worker) finish(s *shard, r *record) {
	cfg := &w.s.cfg
	overUDP := !r.from.local.transport.Reliable()
	if keep := r.invite || r.absorb && overUDP; !keep {
		w.s.table.remove(s, r)
		return
	}
	r.phase = answered
	r.quiet()
	s.release(&r.text)
	due := w.at.add(64 * cfg.T1)
	r.giveUp = due
	if r.absorb && overUDP {
		s.keep(&r.text, w.stripped())
		if r.invite && w.msg.Status >= 300 {
			// The answer came by a stream, once; down to the client its
			// retransmission is ours (Timer G, RFC 3261 17.2.1).
			own := r.own()
			own.interval = cfg.T1
			own.resendAt = w.at.add(cfg.T1)
			due = own.resendAt
		}
	}
	s.wheel.set(r, due)
}

// again handles a request that has a record already; false: it has none.
func (w *worker) again(from flow, t ticket) bool {
	m := &w.msg
	if bytes.Equal(m.Method, mACK) {
		return false
	}
	t.record = recordKey(t.key, m.Method)
	s, r := w.s.table.lock(t.record)
	if r == nil {
		s.mu.Unlock()
		return false
	}
	h, absorb := r.hop(), r.absorb || r.resend || r.phase == judged
	t.attempt = r.attempt
	w.build = w.build[:0]
	if r.phase != open {
		w.build = append(w.build, r.text...)
	}
	s.mu.Unlock()
	switch {
	case len(w.build) > 0:
		w.sendBack(from, w.build)
	case absorb: // on its way already, or answered with silence
	default:
		w.route(from)
		w.emitRecorded(from, t, h)
	}
	return true
}

// untold tells whether a response after the verdict is news to the Monitor. One
// that repeats the response which was judged is not.
func (r *record) untold(status int) bool {
	return r.notify && !r.late && (r.unanswered || status < 300)
}

// outlived makes a record judged that got no response, and gives what is left of
// it; the caller holds the lock.
func (w *worker) outlived(s *shard, r *record, kind dialogs.OutcomeKind) ending {
	e := w.ending(r, kind)
	r.unanswered = true
	w.judged(s, r)
	return e
}
