package proxy

import (
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// finished is a transaction that is over, with what its response says if one came.
type finished struct {
	transaction.Effect

	status, retryAfter int
	reason             []byte
}

// finish reads the response at hand, if that is what ended a transaction.
func finish(e transaction.Effect, m *wire.Message) finished {
	f := finished{Effect: e, retryAfter: -1}
	if e.End == transaction.Responded {
		f.status, f.reason = m.Status, m.Reason
		if f.status >= 300 {
			f.retryAfter = m.Number(wire.RetryAfter)
		}
	}
	return f
}

// outcome tells the Monitor how it ended. The hop is where the NOTIFY went: its answers
// may come from elsewhere.
func (s *Server) outcome(f finished, at time.Time, head []byte) dialogs.Outcome {
	o := dialogs.Outcome{
		At: at, Late: f.Late, Status: f.status, Reason: f.reason, RetryAfter: f.retryAfter, CSeq: f.CSeq, Hop: f.Hop.Addr, Head: head,
		Tries: s.tries(f.Effect),
	}
	if f.Whole && f.Kind == transaction.Notify {
		o.Parcel = dialogs.Parcel{Raw: f.Text, From: f.From.Addr, Local: f.From.Local}
	}
	switch f.End { //nolint:exhaustive // all others are that nobody could be reached
	case transaction.Responded:
		o.Kind = dialogs.Responded
	case transaction.TimedOut:
		o.Kind = dialogs.TimedOut
	default:
		o.Kind = dialogs.Unreachable
	}
	return o
}

// tries are the attempts after the first one, for who judges the NOTIFY.
func (s *Server) tries(e transaction.Effect) (list []dialogs.Try) {
	for _, t := range e.Tries {
		list = append(list, dialogs.Try{
			Why: t.Why.String(), At: s.born.Add(time.Duration(t.At - 1)), Hop: t.Hop.Addr, Transport: t.Hop.Transport.String(),
		})
	}
	return list
}

func (f finished) ref() dialogs.Ref { return dialogs.Ref(f.Subject) }

// judge asks the Monitor what the server gets for a NOTIFY that was not answered
// with a 2xx. true: the response at hand is to be passed on.
func (w *worker) judge(b draft.Branch, f finished) bool {
	v := w.s.cfg.Monitor.NotifyDone(f.ref(), w.s.outcome(f, w.now, w.s.headOf(f.Effect)))
	relay := v.Relay && f.End == transaction.Responded
	switch {
	case relay:
		w.s.table.Answered(f.Key, w.Stripped())
	case v.Status != 0:
		w.s.answerFor(f.Effect, v)
	}
	if f.Subject == 0 {
		return relay
	}
	if relay {
		w.relay(b)
	}
	w.flush() // what follows from the failure must not overtake the answer
	w.s.cfg.Monitor.Announce(f.ref(), f.CSeq)
	return false
}

// lateResponse tells the Monitor that a NOTIFY was answered after its verdict,
// and whether the server is to see such a response, because it was told nothing.
func (w *worker) lateResponse(f finished) bool {
	v := w.s.cfg.Monitor.NotifyDone(f.ref(), w.s.outcome(f, w.now, nil))
	if v.Relay {
		w.s.table.RelayLate(f.Key)
	}
	return v.Relay
}

// conclude ends a transaction that got no response.
func (w *worker) conclude(e transaction.Effect) {
	w.s.metrics.retried(e.Tries, false)
	switch {
	case e.End == transaction.NotOver:
	case e.From.Own:
		w.s.delivered(finish(e, &w.Msg), w.now)
	case e.Subject == uint64(ofRegister) && e.Kind == transaction.Other && w.s.standInAfter(e):
	case e.Do.Has(transaction.Forget): // a call that was not answered in time may yet be
		w.s.metrics.dropped(dropTimeout, 1)
	case e.End == transaction.TooLong:
		w.s.metrics.refused(refusedUnavailable)
		w.s.answerEnded(e, 513, "Message Too Large")
	case e.Kind == transaction.Notify:
		w.judge(draft.Branch{}, finish(e, &w.Msg))
	case e.End == transaction.Crowded:
		w.s.metrics.refused(refusedOverload)
		w.s.crowd.Warn().Str("reason", tooMuchWaiting).Msg("requests are refused: overload")
		w.s.answerEnded(e, 503, tooMuchWaiting)
	case e.End == transaction.Unreachable:
		w.s.metrics.refused(refusedUnavailable)
		w.s.answerEnded(e, 503, "Next Hop Unreachable")
	case e.Kind == transaction.Invite:
		w.s.answerEnded(e, 408, "Request Timeout")
	default:
		// A proxy sends no 408 to a non-INVITE (RFC 4320 4.2).
		w.s.metrics.dropped(dropTimeout, 1)
	}
}
