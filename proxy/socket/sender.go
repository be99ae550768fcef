package socket

import (
	"errors"
	"net/netip"

	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transport"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// ErrStreams says that no further connection may be opened.
var ErrStreams = errors.New("too many streams")

// StreamError is the error of a connection that did not accept a message.
type StreamError struct {
	Stream uint64
	Err    error
}

func (e *StreamError) Error() string { return e.Err.Error() }
func (e *StreamError) Unwrap() error { return e.Err }

// Sender sends messages: it gathers datagrams and sends them together, or writes to
// connections. It belongs to one goroutine.
type Sender struct {
	set   *Set
	boxes []*datagram.Outbox // by index of a Socket; nil where it does not speak UDP
}

// NewSender makes a Sender for the sockets of the Set.
func (s *Set) NewSender() Sender {
	o := Sender{set: s, boxes: make([]*datagram.Outbox, len(s.All))}
	for i, l := range s.All {
		if l.Transport == wire.UDP {
			o.boxes[i] = datagram.NewOutbox()
		}
	}
	return o
}

// Flush sends the datagrams that have been gathered.
func (o *Sender) Flush() {
	for i, box := range o.boxes {
		if box != nil && box.Len() > 0 {
			o.send(i, box)
		}
	}
}

func (o *Sender) send(i int, box *datagram.Outbox) {
	if failed, err := o.set.Send(o.set.All[i], box); failed > 0 {
		o.set.Dropped(failed, err)
	}
}

// Datagram sends a message with its edits. from is the address of ours to send it from; if it
// is invalid the system chooses.
func (o *Sender) Datagram(l *Socket, from netip.Addr, to netip.AddrPort, edits *wire.Edits, raw []byte) {
	box := o.boxes[l.Index]
	box.Commit(edits.AppendTo(box.Begin(), raw), from, to)
	if box.Full() {
		o.send(l.Index, box)
	}
}

// Copy sends a message without edits. from is as in Datagram.
func (o *Sender) Copy(l *Socket, from netip.Addr, to netip.AddrPort, raw []byte) {
	box := o.boxes[l.Index]
	box.Commit(append(box.Begin(), raw...), from, to)
	if box.Full() {
		o.send(l.Index, box)
	}
}

// WriteBack sends a response over the connection that its request came by. If that has ended,
// a new one is opened (Back).
func (o *Sender) WriteBack(l *Socket, id uint64, ip netip.Addr, via *wire.ViaValue, b []byte) bool {
	if st := o.set.Stream(l.Side, id); st != nil {
		if err := o.set.reply(st, l, b); !errors.Is(err, transport.ErrClosed) {
			return err == nil
		}
	}
	return o.Back(l, ip, via, b)
}

// Back sends a response over another connection than the one that its request came by: to the
// address that the request came from, at the port of its Via (RFC 3261 18.2.2). With TLS the peer
// has to be the one that the Via names. What is still queued there when that connection ends is
// lost: nobody asked for a third one.
func (o *Sender) Back(l *Socket, ip netip.Addr, via *wire.ViaValue, b []byte) bool {
	if !l.Transport.Reliable() || !ip.IsValid() {
		return false
	}
	h := resolve.Hop{Transport: l.Transport, Addr: netip.AddrPortFrom(ip, draft.SentByPort(via))}
	if l.Transport == wire.TLS && !wire.IsAddress(via.Host) {
		h.ServerName = string(via.Host)
	}
	st := o.to(l, h)
	if st == nil {
		return false
	}
	st.Last.Store(true)
	return o.set.Write(st, l, b) == nil
}

// to gives the connection of a socket to h. One that is not the first to be asked for has
// connections of its own, from its address.
func (o *Sender) to(l *Socket, h resolve.Hop) *transport.Stream {
	var own netip.Addr
	if l != o.set.For(l.Side, h.Transport, h.Addr.Addr(), nil) {
		own = l.Bound
	}
	return o.set.Streams[l.Side].ToFrom(own, h.Addr, h.Transport == wire.TLS, h.ServerName)
}

// Stream sends a message over a connection to h. The record is told which one before anything
// is written, so that it can be told if the connection ends.
func (o *Sender) Stream(out *Socket, h resolve.Hop, record uint64, raw []byte) error {
	for again := true; ; again = false {
		st := o.to(out, h)
		if st == nil {
			return ErrStreams
		}
		if record != 0 {
			st.Used.Store(true)
			o.set.SentOver(record, st.ID)
		}
		switch err := o.set.Write(st, out, raw); {
		case err == nil:
			return nil
		case again && errors.Is(err, transport.ErrClosed): // it has just ended
		default:
			return &StreamError{st.ID, err}
		}
	}
}

// SendACK sends an ACK by the socket that the INVITE was sent by.
func (o *Sender) SendACK(by *Socket, h resolve.Hop, raw []byte) {
	l := o.set.For(by.Side, h.Transport, h.Addr.Addr(), by)
	switch {
	case l == nil:
	case h.Transport.Reliable():
		if st := o.to(l, h); st != nil {
			_ = o.set.Write(st, l, raw)
		}
	default:
		o.Copy(l, netip.Addr{}, h.Addr, raw)
	}
}
