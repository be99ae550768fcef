package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/netip"

	"rewatch/proxy/resolve"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// What ends a request before any response does.
var (
	errNoHop    = errors.New("no next hop")
	errNoSocket = errors.New("no socket of that side speaks the next hop's transport")
	errStreams  = errors.New("too many streams")
	// errStaleStream marks the end of a connection that had stood.
	errStaleStream = errors.New("connection ended")
)

// causeOf tells what an error says of the hop.
func causeOf(err error) transaction.Cause {
	switch {
	case errors.Is(err, transport.ErrOurs):
		return transaction.Interrupted
	case crowded(err):
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

// failed tells a transaction that a send has failed. What follows from it is done.
// false: there is no such transaction.
func (w *worker) failed(key uint64, f transaction.Failure, err error) (known bool) {
	f.Cause = causeOf(err)
	e := w.s.table.Fail(key, w.at, &f)
	if !e.Known {
		return false
	}
	w.carry(e)
	if e.Do == 0 && e.End == transaction.NotOver {
		return true
	}
	w.s.log.Debug().Err(err).Stringer("hop", e.Failed.Addr).Msg("next hop failed")
	if e.End == transaction.Unreachable && !errors.Is(err, errStaleStream) {
		w.s.lost(e.Failed, err)
	}
	w.conclude(e)
	return true
}

// emitRecorded sends a request that has a transaction; if that fails at once, the
// transaction goes on to its next hop or to its end.
func (w *worker) emitRecorded(from flow, t ticket, h resolve.Hop) {
	err := w.emit(from, t, h)
	if err == nil {
		return
	}
	var f transaction.Failure
	if refused, ok := errors.AsType[*streamError](err); ok {
		f.Stream = refused.stream
	}
	w.failed(t.record, f, err)
}

// undelivered is told of a datagram that the kernel did not take or the network sent
// back. Its first bytes hold our Via, and so the record whose hop has failed (RFC 3261
// 16.9, 18.4). A datagram that is too long says nothing of the hop.
func (s *Server) undelivered(to netip.AddrPort, payload []byte, err error) {
	w := s.borrow()
	defer s.giveBack(w)
	repeated := s.badHops.Has(to, w.now)
	request := !bytes.HasPrefix(payload, []byte("SIP/"))
	// That a response cannot leave may be the doing of whoever wrote its Via.
	if errors.Is(err, datagram.ErrUnreachable) || request && !errors.Is(err, datagram.ErrTooLong) {
		h := resolve.Hop{Addr: to, Transport: wire.UDP}
		s.badHops.Add(h.Addr, w.now)
		s.lost(h, err)
	}
	if b, ok := s.own.branchIn(payload); ok {
		s.own.lost(b)
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

// lost tells of a transport error, which may be one of the presence server. That there
// is too much at a time says nothing of it.
func (s *Server) lost(h resolve.Hop, err error) {
	if !crowded(err) {
		s.health.Lost(h, err)
	}
}
