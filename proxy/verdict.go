package proxy

import (
	"slices"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// ending is what is left of a record when its transaction is over.
type ending struct {
	key    uint64
	kind   dialogs.OutcomeKind
	from   flow
	raw    []byte
	ref    dialogs.Ref
	cseq   uint32
	notify bool
	invite bool
	hop    resolve.Hop
	// status, reason and retryAfter are those of the response, if one came; late
	// if it came after the verdict.
	status, retryAfter int
	reason             []byte
	late               bool
	crowded            bool // it ended because there was too much at a time
}

// ending copies what is needed; the caller holds the shard's lock.
func (w *worker) ending(r *record, kind dialogs.OutcomeKind) ending {
	e := ending{
		key: r.key, kind: kind, from: r.from, raw: slices.Clone(r.text), ref: r.ref, cseq: r.cseq,
		notify: r.notify, invite: r.invite, hop: r.hop(), retryAfter: -1,
	}
	if kind == dialogs.Responded {
		e.status, e.reason, e.retryAfter = w.msg.Status, w.msg.Reason, w.msg.Number(wire.RetryAfter)
	}
	return e
}

func (e *ending) outcome(at time.Time, head []byte) dialogs.Outcome {
	return dialogs.Outcome{
		Kind: e.kind, At: at, Late: e.late, Status: e.status, Reason: e.reason, RetryAfter: e.retryAfter,
		CSeq: e.cseq, Hop: e.hop.Addr, Head: head,
	}
}

// judge asks the Monitor what the server gets for a NOTIFY that was not answered
// with a 2xx. true: the response at hand is to be passed on.
func (w *worker) judge(e ending) bool {
	v := w.s.cfg.Monitor.NotifyDone(e.ref, e.outcome(w.now, w.s.headOf(&e)))
	relay := v.Relay && e.kind == dialogs.Responded
	switch {
	case relay:
		w.s.table.keepAnswer(e.key, w.stripped())
	case v.Status != 0:
		w.s.answerEnded(&e, v.Status, v.Reason)
	}
	if e.ref == 0 {
		return relay
	}
	if relay {
		b, _ := w.s.ownBranch(firstValue(&w.msg, wire.Via))
		w.relay(b)
	}
	w.flush() // what follows from the failure must not overtake the answer
	w.s.cfg.Monitor.Announce(e.ref, e.cseq)
	return false
}

// lateResponse tells the Monitor that a NOTIFY was answered after its verdict,
// and whether the server is to see such a response, because it was told nothing.
func (w *worker) lateResponse(e ending) bool {
	e.late = true
	v := w.s.cfg.Monitor.NotifyDone(e.ref, e.outcome(w.now, nil))
	if v.Relay {
		s, r := w.s.table.lock(e.key)
		if r != nil {
			r.lateRelay = true
		}
		s.mu.Unlock()
	}
	return v.Relay
}

// answerEnded answers a request whose record ended, from its copy. It uses a
// worker of its own, because a response may be at hand in this one.
func (s *Server) answerEnded(e *ending, status int, reason string) {
	own := s.borrow()
	defer s.giveBack(own)
	if !own.load(e.raw) {
		return
	}
	var extra []string
	if e.crowded {
		extra = []string{own.retryAfter()}
	}
	if b, ok := own.answer(e.from, status, reason, extra...); ok {
		s.table.keepAnswer(e.key, b)
		own.sendBack(e.from, b)
	}
}

// headOf is the request as it was forwarded, start line and headers without our
// Via; nil if that is not kept.
func (s *Server) headOf(e *ending) []byte {
	if !s.cfg.KeepHeads {
		return nil
	}
	w := s.borrow()
	defer s.giveBack(w)
	if !w.load(e.raw) {
		return nil
	}
	w.route(e.from)
	return w.edits.AppendRange(nil, w.msg.Raw, 0, w.msg.Body)
}

// conclude ends a transaction that got no response.
func (w *worker) conclude(e ending) {
	switch {
	case e.notify:
		w.judge(e)
	case e.crowded:
		w.s.metrics.refused(refusedOverload)
		w.s.crowd.Warn().Str("reason", tooMuchWaiting).Msg("requests are refused: overload")
		w.s.answerEnded(&e, 503, tooMuchWaiting)
	case e.kind == dialogs.Unreachable:
		w.s.metrics.refused(refusedUnavailable)
		w.s.answerEnded(&e, 503, "Next Hop Unreachable")
	case e.invite:
		w.s.answerEnded(&e, 408, "Request Timeout")
	default:
		// A proxy sends no 408 to a non-INVITE (RFC 4320 4.2).
		w.s.metrics.dropped(dropTimeout, 1)
	}
}
