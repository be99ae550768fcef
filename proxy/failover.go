package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/netip"

	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/socket"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// errStaleStream marks the end of a connection that had stood.
var errStaleStream = errors.New("connection ended")

// causeOf classifies an error by what it says about the hop.
func causeOf(err error) transaction.Cause {
	switch {
	case errors.Is(err, transport.ErrOurs):
		return transaction.Interrupted
	case Crowded(err):
		return transaction.Overloaded
	case errors.Is(err, datagram.ErrTooLong):
		return transaction.Oversized
	case errors.Is(err, errStaleStream) && errors.Is(err, io.EOF):
		return transaction.Closed
	case errors.Is(err, errStaleStream):
		return transaction.Stale
	default:
		return transaction.Refused
	}
}

// failed tells a transaction that sending has failed, and carries out what follows. false:
// there is no such transaction.
func (w *worker) failed(key uint64, f transaction.Failure, err error) (known bool) {
	f.Cause = causeOf(err)
	e := w.s.table.Fail(key, w.at, &f)
	if !e.Known {
		return false
	}
	w.perform(e)
	if e.Do == 0 && e.End == transaction.NotOver {
		return true
	}
	w.s.log.Debug().Err(err).Stringer("hop", e.Failed.Addr).Msg("next hop failed")
	if e.End == transaction.Unreachable && !errors.Is(err, errStaleStream) {
		w.s.hopFailed(e.Failed, err)
	}
	w.conclude(e)
	return true
}

// emitRecorded sends a request that has a transaction. If sending fails at once, the
// transaction tries its next hop or ends.
func (w *worker) emitRecorded(from flow, t ticket, h resolve.Hop) {
	err := w.emit(from, t, h)
	if err == nil {
		return
	}
	var f transaction.Failure
	if refused, ok := errors.AsType[*socket.StreamError](err); ok {
		f.Stream = refused.Stream
	}
	w.failed(t.record, f, err)
}

// undelivered is told of a datagram that the kernel did not take or the network sent
// back. Its first bytes hold our Via, and so the record whose hop has failed (RFC 3261
// 16.9, 18.4). A datagram that is too long says nothing of the hop.
func (s *Server) undelivered(to netip.AddrPort, payload []byte, err error) {
	w := s.borrow()
	defer s.giveBack(w)
	// A batch of requests is refused at once: each has its retransmission, and with that the next
	// hop or the other transport. Those that come later have none left.
	repeated := s.routing.Bad.HasSince(to, w.now.Add(-s.cfg.T1/2), w.now)
	request := !bytes.HasPrefix(payload, []byte("SIP/"))
	// If a response cannot be sent, its Via may be to blame and not the hop.
	if errors.Is(err, datagram.ErrUnreachable) || request && !errors.Is(err, datagram.ErrTooLong) {
		h := resolve.Hop{Addr: to, Transport: wire.UDP}
		s.routing.Bad.Add(h.Addr, w.now)
		s.noUDP.Add(h.Addr, w.now)
		s.hopFailed(h, err)
	}
	if s.Own.Undelivered(payload) {
		return
	}
	b, method, ok := quoted(payload)
	if !ok || w.failed(recordKey(b.Key, method), transaction.Failure{Told: true, Attempt: b.Attempt}, err) {
		return
	}
	switch {
	case errors.Is(err, datagram.ErrUnreachable): // not all of it came back, so it cannot be answered
	case errors.Is(err, datagram.ErrTooLong):
		s.bounce(b, payload, 513, "Message Too Large")
	case repeated: // else its retransmission goes to the next hop, if there is one
		s.bounce(b, payload, 503, "Next Hop Unreachable")
	}
}

// quoted finds our branch in the first bytes of a datagram that came back.
func quoted(payload []byte) (b draft.Branch, method []byte, ok bool) {
	sp := bytes.IndexByte(payload, ' ')
	if sp <= 0 || bytes.HasPrefix(payload, []byte("SIP/")) {
		return b, nil, false
	}
	branch, _ := draft.FindBranch(payload, draft.BranchStart)
	b, ok = draft.ParseBranch(branch)
	return b, payload[:sp], ok
}

// hopFailed tells the health check of a transport error, which may be one of the presence
// server. An overload says nothing about the server.
func (s *Server) hopFailed(h resolve.Hop, err error) {
	if !Crowded(err) {
		s.health.Lost(h, err)
	}
}
