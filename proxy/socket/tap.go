package socket

import (
	"bytes"
	"net/netip"

	"rewatch/proxy/transport"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// Tap is shown each SIP message that is received or sent, with the addresses of both ends. It
// must not block, and not keep raw. The transport is "udp", "tcp" or "tls"; with "tls" the
// message is in the clear.
type Tap func(transport string, from, to netip.AddrPort, raw []byte)

// Send sends the datagrams of an outbox by a socket, and shows them.
func (s *Set) Send(l *Socket, box *datagram.Outbox) (failed int, err error) {
	if s.Tap != nil {
		for i := range box.Len() {
			raw, to := box.Datagram(i)
			s.Tap(wire.UDP.String(), l.Self, to, raw)
		}
	}
	return l.Packet.Send(box)
}

// Write queues a message on a stream, and shows it.
func (s *Set) Write(st *transport.Stream, l *Socket, raw []byte) error {
	err := st.Write(raw)
	s.wrote(st, l, raw, err)
	return err
}

// reply is Write for a response to a request that came by the stream.
func (s *Set) reply(st *transport.Stream, l *Socket, raw []byte) error {
	err := st.Reply(raw, !bytes.HasPrefix(raw, provisional))
	s.wrote(st, l, raw, err)
	return err
}

var provisional = []byte("SIP/2.0 1")

func (s *Set) wrote(st *transport.Stream, l *Socket, raw []byte, err error) {
	if err == nil && s.Tap != nil {
		s.Tap(TransportOf(st).String(), endOf(st, l.Self), st.Peer, raw)
	}
}

// Received shows a message that has come in by a socket and, if stream is not 0, by that
// connection.
func (s *Set) Received(l *Socket, stream uint64, from netip.AddrPort, raw []byte) {
	if s.Tap == nil {
		return
	}
	here := l.Self
	if stream != 0 {
		if st := s.Stream(l.Side, stream); st != nil {
			here = endOf(st, here)
		}
	}
	s.Tap(l.Transport.String(), from, here, raw)
}

// endOf is the address of our end of a connection. While it is being dialled, only the address
// of the listener beside it is known.
func endOf(st *transport.Stream, otherwise netip.AddrPort) netip.AddrPort {
	if a := st.Own(); a.IsValid() {
		return a
	}
	return otherwise
}
