package socket

import (
	"hash/maphash"

	"rewatch/dialogs"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// checkBits is how many bits of the name of a connection are a hash of its peer.
const checkBits = 16

// NameOf is the name of a connection in a branch of ours: its number, and a hash of its peer
// that each process seeds anew. So after a restart the response to an older request does not
// find the connection of another peer that has the same number now.
func (s *Set) NameOf(st *transport.Stream) uint64 {
	peer := st.Peer.Addr().As16()
	check := maphash.Bytes(s.Seed, peer[:]) ^ uint64(st.Peer.Port())*0x9e3779b97f4a7c15
	return st.ID<<checkBits | check>>(64-checkBits)
}

// Stream gives the connection of a name, nil if there is none.
func (s *Set) Stream(side dialogs.Side, name uint64) *transport.Stream {
	st := s.Streams[side].Get(name >> checkBits)
	if st == nil || s.NameOf(st) != name {
		return nil
	}
	return st
}

// Of gives the socket that a connection belongs to: the one that accepted it, or that it was
// dialled for.
func (s *Set) Of(side dialogs.Side, st *transport.Stream) *Socket {
	if l, ok := st.Listener.(*Socket); ok {
		return l
	}
	n := TransportOf(st)
	first := s.For(side, n, st.Peer.Addr(), nil)
	if own := st.From(); own.IsValid() {
		for _, l := range s.bySide[side][n] {
			if l != first && l.Bound == own {
				return l
			}
		}
	}
	return first
}

// TransportOf is the transport of a connection.
func TransportOf(st *transport.Stream) wire.Transport {
	if st.Secure {
		return wire.TLS
	}
	return wire.TCP
}
