package proxy

import (
	"bytes"
	"errors"
	"net/netip"

	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transport"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// Tap is shown each SIP message that comes in or leaves, with the addresses of
// both ends. It must not block, and not keep raw. The transport is "udp", "tcp"
// or "tls"; what is shown is what is inside TLS.
type Tap interface {
	Received(transport string, from, to netip.AddrPort, raw []byte)
	Sent(transport string, from, to netip.AddrPort, raw []byte)
}

// tapped shows a Tap, if there is one, what leaves.
type tapped struct{ tap Tap }

// tapDatagrams shows what an outbox is about to send.
func (t *tapped) tapDatagrams(l *local, box *datagram.Outbox) {
	if t.tap == nil {
		return
	}
	for i := range box.Len() {
		raw, to := box.Datagram(i)
		t.tap.Sent(wire.UDP.String(), l.self, to, raw)
	}
}

// write queues a message on a stream, and shows it.
func (t *tapped) write(st *transport.Stream, l *local, raw []byte) error {
	err := st.Write(raw)
	if err == nil && t.tap != nil {
		t.tap.Sent(transportOf(st).String(), endOf(st, l.self), st.Peer, raw)
	}
	return err
}

// tapReceived shows a message that has come in.
func (o *outlet) tapReceived(from flow, raw []byte) {
	if o.s.cfg.Tap == nil {
		return
	}
	here := from.local.self
	if from.stream != 0 {
		if st := o.s.streamNamed(from.side(), from.stream); st != nil {
			here = endOf(st, here)
		}
	}
	o.s.cfg.Tap.Received(from.local.transport.String(), from.addr, here, raw)
}

// endOf is our end of a stream; of one that is still being dialled only the
// address of the listener beside it is known.
func endOf(st *transport.Stream, otherwise netip.AddrPort) netip.AddrPort {
	if a := st.Own(); a.IsValid() {
		return a
	}
	return otherwise
}

// selfOf is by which address neighbours know a socket that is bound to one, or to
// all of them.
func selfOf(bound netip.AddrPort, advertised string) netip.AddrPort {
	a := bound.Addr().Unmap()
	if a.IsUnspecified() {
		if ip, err := netip.ParseAddr(advertised); err == nil {
			a = ip
		} else if all := addresses(a); len(all) > 0 {
			a = all[0]
		}
	}
	return netip.AddrPortFrom(a, bound.Port())
}

// outlet is how messages leave: by outboxes of datagrams that are sent together, or by
// connections.
type outlet struct {
	s   *Server
	out []*datagram.Outbox // by index of local; nil where it is no UDP socket
}

func newOutlet(s *Server) outlet {
	o := outlet{s: s, out: make([]*datagram.Outbox, len(s.locals))}
	for i, l := range s.locals {
		if l.transport == wire.UDP {
			o.out[i] = datagram.NewOutbox()
		}
	}
	return o
}

// flush sends what has gathered.
func (o *outlet) flush() {
	for i, box := range o.out {
		if box != nil && box.Len() > 0 {
			o.send(i, box)
		}
	}
}

func (o *outlet) send(i int, box *datagram.Outbox) {
	o.s.tapDatagrams(o.s.locals[i], box)
	if failed, err := o.s.locals[i].packet.Send(box); failed > 0 {
		o.s.metrics.dropped(dropSend, failed)
		o.s.log.Debug().Err(err).Int("datagrams", failed).Msg("the socket did not take datagrams")
	}
}

// datagram builds a message with its edits in the outbox of a socket. from is invalid, or
// the address of ours that it is to leave from.
func (o *outlet) datagram(l *local, from netip.Addr, to netip.AddrPort, edits *wire.Edits, raw []byte) {
	box := o.out[l.index]
	box.Commit(edits.AppendTo(box.Begin(), raw), from, to)
	if box.Full() {
		o.send(l.index, box)
	}
}

// writeBack sends a response over the connection that its request came by. If
// that is gone, a new one is opened to where the Via says (RFC 3261 18.2.2).
func (o *outlet) writeBack(l *local, id uint64, to netip.AddrPort, b []byte) bool {
	if st := o.s.streamNamed(l.side, id); st != nil {
		if err := o.s.write(st, l, b); !errors.Is(err, transport.ErrClosed) {
			return err == nil
		}
	}
	if !l.transport.Reliable() || !to.IsValid() {
		return false
	}
	st := o.s.streams[l.side].To(to, l.transport == wire.TLS, "")
	return st != nil && o.s.write(st, l, b) == nil
}

// stream sends a message over the connection to h. The record learns
// which one before anything is written: if the connection ends, it is told.
func (o *outlet) stream(out *local, h resolve.Hop, record uint64, raw []byte) error {
	var own netip.Addr
	if out != o.s.local(out.side, h.Transport, h.Addr.Addr(), nil) {
		own = out.bound
	}
	for again := true; ; again = false {
		st := o.s.streams[out.side].ToFrom(own, h.Addr, h.Transport == wire.TLS, h.ServerName)
		if st == nil {
			return errStreams
		}
		if record != 0 {
			st.Used.Store(true)
			o.s.table.SentOver(record, st.ID)
		}
		switch err := o.s.write(st, out, raw); {
		case err == nil:
			return nil
		case again && errors.Is(err, transport.ErrClosed): // it has ended at this moment
		default:
			return &streamError{st.ID, err}
		}
	}
}

// sendACK sends an ACK, by the socket that the INVITE left by.
func (o *outlet) sendACK(by *local, h resolve.Hop, raw []byte) {
	l := o.s.local(by.side, h.Transport, h.Addr.Addr(), by)
	switch {
	case l == nil:
	case h.Transport.Reliable():
		if st := o.s.streams[l.side].To(h.Addr, h.Transport == wire.TLS, h.ServerName); st != nil {
			_ = o.s.write(st, l, raw)
		}
	default:
		o.out[l.index].Add(raw, h.Addr)
	}
}

// refuse answers the request at hand ourselves. It reports whether an answer
// could be addressed; the ACK is never answered.
func (w *worker) refuse(from flow, status int, reason string, extra ...string) bool {
	if bytes.Equal(w.Msg.Method, mACK) {
		return false
	}
	b, ok := w.Answer(from.addr, status, reason, extra...)
	if !ok {
		return false
	}
	w.sendBack(from, b)
	return true
}

// sendBack sends a response of ours to the neighbour that a request came from
// (RFC 3261 18.2.2, RFC 3581 section 4). w.Via is the Via of that neighbour.
func (w *worker) sendBack(from flow, b []byte) {
	w.s.metrics.response(from.side(), b)
	if from.local.transport.Reliable() || from.stream != 0 {
		to := netip.AddrPortFrom(from.addr.Addr(), draft.SentByPort(&w.Via))
		if !w.writeBack(from.local, from.stream, to, b) {
			w.s.metrics.dropped(dropStream, 1)
		}
		return
	}
	to := from.addr
	if maddr, ok := draft.MAddr(&w.Via); ok && w.s.trusted(from) {
		to = maddr
	} else if !w.Via.HasRPort {
		to = netip.AddrPortFrom(from.addr.Addr(), draft.SentByPort(&w.Via))
	}
	o := w.out[from.local.index]
	o.Commit(append(o.Begin(), b...), from.at, to)
	if o.Full() {
		w.send(from.local.index, o)
	}
}
