package proxy

import (
	"errors"
	"fmt"
	"hash/maphash"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// streamHandler takes what the streams of one side bring.
type streamHandler struct {
	s    *Server
	side dialogs.Side
}

// Message handles one message of a stream.
func (h streamHandler) Message(st *transport.Stream, raw []byte) {
	w := h.s.borrow()
	defer h.s.giveBack(w)
	w.message(h.flow(st), raw)
}

// Unreadable answers what no end can be found of, if it can be answered.
func (h streamHandler) Unreadable(st *transport.Stream, raw []byte, err error) {
	w := h.s.borrow()
	defer h.s.giveBack(w)
	if scanned := wire.Scan(raw, &w.Msg); scanned != nil && !errors.Is(err, transport.ErrTooLarge) {
		err = scanned
	}
	w.malformed(h.flow(st), err)
}

func (h streamHandler) flow(st *transport.Stream) flow {
	l, ok := st.Listener.(*local)
	if !ok {
		l = h.s.local(h.side, transportOf(st), st.Peer.Addr(), nil)
	}
	return flow{local: l, stream: h.s.nameOf(st), addr: st.Peer}
}

// checkBits of the name of a connection are of its peer.
const checkBits = 16

// nameOf is the name by which a branch of ours tells a connection: its number, and a hash
// of its peer that is seeded anew by each process. The answer to a request of before a
// restart does not find the connection of another peer that has the number now.
func (s *Server) nameOf(st *transport.Stream) uint64 {
	peer := st.Peer.Addr().As16()
	check := maphash.Bytes(s.seed, peer[:]) ^ uint64(st.Peer.Port())*0x9e3779b97f4a7c15
	return st.ID<<checkBits | check>>(64-checkBits)
}

// streamNamed gives the connection of a name, nil if there is none any more.
func (s *Server) streamNamed(side dialogs.Side, name uint64) *transport.Stream {
	st := s.streams[side].Get(name >> checkBits)
	if st == nil || s.nameOf(st) != name {
		return nil
	}
	return st
}

func transportOf(st *transport.Stream) wire.Transport {
	if st.Secure {
		return wire.TLS
	}
	return wire.TCP
}

// Closed is the end of a stream: what waits for a response on it goes on to the
// next hop, or has failed.
func (h streamHandler) Closed(st *transport.Stream, err error) {
	stood := st.Local.IsValid()
	if stood {
		err = fmt.Errorf("%w: %w", errStaleStream, err)
	}
	h.s.log.Debug().Err(err).Stringer("peer", st.Peer).Bool("dialled", st.Dialled).Msg("stream closed")
	if !stood {
		h.s.lost(resolve.Hop{Addr: st.Peer, Transport: transportOf(st)}, err)
	}
	tell := h.s.cfg.OwnUnreachable
	if errors.Is(err, transport.ErrOurs) {
		tell = h.s.cfg.OwnInterrupted
	}
	for _, b := range h.s.own.take(st.ID) {
		if tell != nil && !st.Alone() {
			tell(b)
		}
	}
	if !st.Used.Load() {
		return // no record knows of it, so the table need not be searched
	}
	w := h.s.borrow()
	defer h.s.giveBack(w)
	for _, key := range h.s.table.OnStream(st.ID) {
		w.failed(key, transaction.Failure{Stream: st.ID}, err)
	}
}
