package proxy

import (
	"bytes"
	"errors"
	"net/netip"

	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// undelivered is told of a datagram that the kernel did not take or the network sent
// back. Its first bytes hold our Via, and so the record whose hop has failed (RFC 3261
// 16.9, 18.4). A datagram that is too long says nothing of the hop.
func (s *Server) undelivered(to netip.AddrPort, payload []byte, err error) {
	w := s.borrow()
	defer s.giveBack(w)
	repeated := s.badHops.has(to, w.now)
	request := !bytes.HasPrefix(payload, []byte("SIP/"))
	// That a response cannot leave may be the doing of whoever wrote its Via.
	if errors.Is(err, transport.ErrUnreachable) || request && !errors.Is(err, transport.ErrTooLong) {
		h := resolve.Hop{Addr: to, Transport: wire.UDP}
		w.markBad(h)
		s.health.lost(h, err)
	}
	if b, ok := s.ownRequest(payload); ok {
		s.ownLost(b)
		return
	}
	b, method, ok := quoted(payload)
	if !ok || w.failed(recordKey(b.Key, method), transaction.Failure{Told: true, Attempt: b.Attempt}, err) {
		return
	}
	switch {
	case errors.Is(err, transport.ErrUnreachable): // not all of it came back, so it cannot be answered
	case errors.Is(err, transport.ErrTooLong):
		w.bounce(b, payload, 513, "Message Too Large")
	case repeated: // else its retransmission goes to the next hop, if there is one
		w.bounce(b, payload, 503, "Next Hop Unreachable")
	}
}

// bounce answers a request that has no record, from its bytes as they were to leave.
func (w *worker) bounce(b draft.Branch, raw []byte, status int, reason string) {
	if b.Local >= len(w.s.locals) || !w.Load(raw) || bytes.Equal(w.Msg.Method, mACK) {
		return
	}
	answer, ok := w.Answer(netip.AddrPort{}, status, reason)
	if !ok {
		return
	}
	// It is passed on as if the hop had sent it: our Via goes, the next one leads.
	back := w.s.borrow()
	defer w.s.giveBack(back)
	if wire.Scan(answer, &back.Msg) != nil {
		return
	}
	w.s.metrics.refused(refusedUnavailable)
	w.s.metrics.response(w.s.locals[b.Local].side, answer)
	if back.relayable(b) {
		back.relay(b)
	}
}
