package proxy

import (
	"net/netip"

	"rewatch/dialogs"
)

// SentBy is the sent-by that a request of ours has in its Via when it leaves by a
// side and transport ("udp", "tcp", "tls"); false if no socket there speaks it.
func (s *Server) SentBy(side dialogs.Side, transport string) (string, bool) {
	n, err := parseNetwork(transport)
	if err != nil {
		return "", false
	}
	l := s.local(side, n, netip.Addr{})
	if l == nil {
		return "", false
	}
	return l.sentBy, true
}

// Send writes a request of our own to an address. Its responses come back through
// Config.OwnResponse. raw is not kept.
func (s *Server) Send(side dialogs.Side, transport string, addr netip.AddrPort, serverName string, raw []byte) error {
	n, err := parseNetwork(transport)
	if err != nil {
		return err
	}
	l := s.local(side, n, addr.Addr())
	if l == nil {
		return errNoSocket
	}
	if n.reliable() {
		st := s.streams[side].To(addr, n == tlsnet, serverName)
		if st == nil {
			return errStreams
		}
		if b, ok := s.ownRequest(raw); ok {
			s.own.add(st.ID, b)
		}
		err := s.write(st, l, raw, 0)
		if err != nil {
			s.own.take(st.ID)
		}
		return err
	}
	w := s.borrow()
	defer s.giveBack(w)
	o := w.out[l.index]
	o.Add(raw, addr)
	s.tapDatagrams(l, o)
	_, err = l.packet.Send(o)
	return err
}
