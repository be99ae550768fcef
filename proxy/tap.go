package proxy

import (
	"net/netip"

	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// Tap is shown each SIP message that comes in or leaves, with the addresses of
// both ends. It must not block, and not keep raw. The transport is "udp", "tcp"
// or "tls"; what is shown is what is inside TLS.
type Tap interface {
	Received(transport string, from, to netip.AddrPort, raw []byte)
	Sent(transport string, from, to netip.AddrPort, raw []byte)
}

// tapReceived shows a message that has come in.
func (w *worker) tapReceived(from flow, raw []byte) {
	if w.s.cfg.Tap == nil {
		return
	}
	here := from.local.self
	if from.stream != 0 {
		if st := w.s.streamNamed(from.side(), from.stream); st != nil {
			here = endOf(st, here)
		}
	}
	w.s.cfg.Tap.Received(from.local.transport.String(), from.addr, here, raw)
}

// tapDatagrams shows what an outbox is about to send.
func (s *Server) tapDatagrams(l *local, o *transport.Outbox) {
	if s.cfg.Tap == nil {
		return
	}
	for i := range o.Len() {
		raw, to := o.Datagram(i)
		s.cfg.Tap.Sent(wire.UDP.String(), l.self, to, raw)
	}
}

// write queues a message on a stream, and shows it.
func (s *Server) write(st *transport.Stream, l *local, raw []byte) error {
	err := st.Write(raw)
	if err == nil && s.cfg.Tap != nil {
		s.cfg.Tap.Sent(transportOf(st).String(), endOf(st, l.self), st.Peer, raw)
	}
	return err
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
