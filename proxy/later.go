package proxy

import (
	"bytes"

	"rewatch/dialogs"
	"rewatch/proxy/wire"
)

// Some answers have to wait until what they tell of is safe from a crash: whoever has
// his answer does not repeat his request, so nobody would tell of it again. Meanwhile
// the reader goes on; what is needed of the message at hand is copied.

// relayLater passes the response at hand on when it may leave.
func (w *worker) relayLater(b branch, first func(answer func())) {
	s, raw := w.s, bytes.Clone(w.msg.Raw)
	first(func() { s.relayCopy(b, raw) })
}

// relayCopy passes a response on, from a copy.
func (s *Server) relayCopy(b branch, raw []byte) {
	own := s.borrow()
	defer s.giveBack(own)
	if own.load(raw) {
		own.relay(b)
	}
}

// answerLater answers a NOTIFY that failed when that may be: with the response at hand
// (relay), or as the verdict says.
func (w *worker) answerLater(e ending, v *dialogs.Verdict, relay bool) {
	s := w.s
	e.reason = nil // it is the message's
	switch {
	case relay:
		b, _ := s.ownBranch(firstValue(&w.msg, wire.Via))
		answer, raw := bytes.Clone(w.stripped()), bytes.Clone(w.msg.Raw)
		v.First(func() {
			s.table.keepAnswer(e.key, answer)
			s.relayCopy(b, raw)
		})
	case v.Status != 0:
		status, reason := v.Status, v.Reason
		v.First(func() { s.answerEnded(&e, status, reason) })
	default:
		v.First(func() {})
	}
}
