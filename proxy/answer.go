package proxy

import (
	"bytes"
	"net/netip"

	"rewatch/proxy/draft"
)

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
