package proxy

import (
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/metrics"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// finished is a transaction that has ended, with the fields of its response if there is one.
type finished struct {
	transaction.Effect

	status, retryAfter int
	reason             []byte
}

// finish reads the response at hand, if the transaction has ended by it.
func finish(e transaction.Effect, m *wire.Message) finished {
	f := finished{Effect: e, retryAfter: -1}
	if e.Refusal != nil {
		f.status, f.reason, f.Hop = 503, []byte("Service Unavailable"), e.Refusal.Hop
		if e.Refusal.Wait >= 0 {
			f.retryAfter = int(e.Refusal.Wait / time.Second)
		}
	}
	if e.End == transaction.Responded {
		f.status, f.reason = m.Status, m.Reason
		if f.status >= 300 {
			f.retryAfter = m.Number(wire.RetryAfter)
		}
	}
	return f
}

// outcome describes for the Monitor how a NOTIFY ended. The hop is where the NOTIFY was sent:
// the response may have come from elsewhere.
func (s *Server) outcome(f finished, at time.Time, head []byte) dialogs.Outcome {
	o := dialogs.Outcome{
		At: at, Late: f.Late, Status: f.status, Reason: f.reason, RetryAfter: f.retryAfter, CSeq: f.CSeq, Hop: f.Hop.Addr, Head: head,
		Tries: s.tries(f.Effect),
	}
	if f.Whole && f.Kind == transaction.Notify {
		o.Parcel = dialogs.Parcel{Raw: f.Text, From: f.From.Addr, Local: f.From.Local}
	}
	switch {
	case f.status != 0:
		o.Kind = dialogs.Responded
	case f.End == transaction.TimedOut:
		o.Kind = dialogs.TimedOut
	default:
		o.Kind = dialogs.Unreachable
	}
	return o
}

// tries are the attempts after the first one.
func (s *Server) tries(e transaction.Effect) (list []dialogs.Try) {
	for _, t := range e.Tries {
		list = append(list, dialogs.Try{
			Why: t.Why.String(), At: s.epoch.Add(time.Duration(t.At - 1)), Hop: t.Hop.Addr, Transport: t.Hop.Transport.String(),
		})
	}
	return list
}

func (f finished) ref() dialogs.Ref { return dialogs.Ref(f.Subject) }

// judge asks the Monitor how to answer a NOTIFY that got no 2xx. true: the response at hand is
// to be forwarded.
func (w *worker) judge(b draft.Branch, f finished) bool {
	v := w.s.cfg.Monitor.NotifyDone(f.ref(), w.s.outcome(f, w.now, w.s.headOf(f.Effect)))
	relay := v.Relay && f.End == transaction.Responded
	switch {
	case relay:
		w.s.table.Answered(f.Key, w.Stripped())
	case v.Status != 0:
		w.s.answerFor(f.Effect, v)
	case v.Relay && f.status != 0:
		w.s.answerEnded(f.Effect, f.status, string(f.reason))
	}
	if f.Subject == 0 {
		return relay
	}
	if relay {
		w.relay(b)
	}
	w.out.Flush() // the answer must be sent before what Announce may send
	w.s.cfg.Monitor.Announce(f.ref(), f.CSeq)
	return false
}

// conclude ends a transaction that got no response.
func (w *worker) conclude(e transaction.Effect) {
	w.s.metrics.Retried(e.Tries, false)
	switch {
	case e.End == transaction.NotOver:
	case e.From.Own:
		w.s.delivered(finish(e, &w.Msg), w.now)
	case e.Subject == uint64(ofRegister) && e.Kind == transaction.Other && w.s.registerFallbackAfter(e):
	case e.Do.Has(transaction.Forget): // a call that was not answered in time may yet be
		w.s.metrics.Dropped(metrics.DropTimeout, 1)
	case e.End == transaction.TooLong:
		w.s.metrics.Refused(metrics.RefusedUnavailable)
		w.s.answerEnded(e, 513, "Message Too Large")
	case e.Kind == transaction.Notify:
		w.judge(draft.Branch{}, finish(e, &w.Msg))
	case e.End == transaction.Crowded:
		w.s.metrics.Refused(metrics.RefusedOverload)
		w.s.sampled.Warn().Str("reason", tooMuchWaiting).Msg("requests are refused: overload")
		w.s.answerEnded(e, 503, tooMuchWaiting)
	case e.End == transaction.Unreachable:
		w.s.metrics.Refused(metrics.RefusedUnavailable)
		w.s.answerEnded(e, 503, "Next Hop Unreachable")
	case e.Kind == transaction.Invite:
		w.s.answerEnded(e, 408, "Request Timeout")
	default:
		// A proxy sends no 408 to a non-INVITE (RFC 4320 4.2).
		w.s.metrics.Dropped(metrics.DropTimeout, 1)
	}
}
