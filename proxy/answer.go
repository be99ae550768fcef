package proxy

import (
	"bytes"
	"errors"
	"hash/maphash"
	"net/netip"
	"strconv"
	"strings"

	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// refuse answers the request at hand ourselves. It reports whether an answer
// could be addressed; the ACK is never answered.
func (w *worker) refuse(from flow, status int, reason string, extra ...string) bool {
	if bytes.Equal(w.msg.Method, mACK) {
		return false
	}
	b, ok := w.answer(from, status, reason, extra...)
	if !ok {
		return false
	}
	w.sendBack(from, b)
	return true
}

// answer builds a response to the request at hand (RFC 3261 8.2.6): its Vias,
// From, To, Call-ID and CSeq as they stand. The bytes are valid until the next
// message is built.
func (w *worker) answer(from flow, status int, reason string, extra ...string) ([]byte, bool) {
	m := &w.msg
	if len(w.via.Host) == 0 {
		return nil, false
	}
	w.edits.Reset()
	w.text = w.text[:0]
	w.upstreamVia(from)
	b := append(w.build[:0], "SIP/2.0 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, printable([]byte(reason))...)
	b = append(b, "\r\n"...)
	for i := range m.Lines {
		switch m.Lines[i].Name { //nolint:exhaustive // the others are not copied
		case wire.Via:
			b = w.edits.AppendRange(b, m.Raw, m.Lines[i].Start, m.Lines[i].End)
		case wire.From, wire.CallID, wire.CSeq:
			b = append(b, m.Raw[m.Lines[i].Start:m.Lines[i].End]...)
		case wire.To:
			b = w.appendTo(b, i, status)
		case wire.Timestamp: // RFC 3261 8.2.6.1
			if status == 100 {
				b = append(b, m.Raw[m.Lines[i].Start:m.Lines[i].End]...)
			}
		}
	}
	for _, line := range extra {
		b = append(b, line...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "Content-Length: 0\r\n\r\n"...)
	w.build = b
	return b, true
}

// appendTo copies the To line, with a tag if it lacks one (RFC 3261 8.2.6.2).
func (w *worker) appendTo(b []byte, i, status int) []byte {
	m := &w.msg
	line := m.Lines[i]
	if status == 100 || len(wire.Tag(m.At(i))) > 0 {
		return append(b, m.Raw[line.Start:line.End]...)
	}
	b = append(b, m.Raw[line.Start:line.ValueEnd]...)
	b = append(b, ";tag="...)
	b = w.appendTag(b)
	return append(b, "\r\n"...)
}

// appendTag appends the tag of our own answers in the dialog at hand. It is a
// hash, so that a retransmission gets the same one, and an ACK is recognised.
func (w *worker) appendTag(b []byte) []byte {
	id, _ := w.msg.Value(wire.CallID)
	return appendHex(append(b, "rw"...), maphash.Bytes(w.s.seed, id), 16)
}

// ownACK tells whether the request at hand is the ACK of an answer of our own: it
// ends here (RFC 3261 17.2.1), the server knows nothing of it.
func (w *worker) ownACK() bool {
	if !bytes.Equal(w.msg.Method, mACK) {
		return false
	}
	to, _ := w.msg.Value(wire.To)
	tag := wire.Tag(to)
	var buf [18]byte
	return len(tag) == len(buf) && bytes.Equal(tag, w.appendTag(buf[:0]))
}

// sendBack sends a response of ours to the neighbour that a request came from
// (RFC 3261 18.2.2, RFC 3581 section 4). w.via is the Via of that neighbour.
func (w *worker) sendBack(from flow, b []byte) {
	w.s.metrics.response(from.side(), b)
	if from.local.transport.Reliable() || from.stream != 0 {
		to := netip.AddrPortFrom(from.addr.Addr(), sentByPort(&w.via))
		if !w.writeBack(from.local, from.stream, to, b) {
			w.s.metrics.dropped(dropStream, 1)
		}
		return
	}
	to := from.addr
	if maddr, ok := maddrOf(&w.via); ok && w.s.trusted(from) {
		to = maddr
	} else if !w.via.HasRPort {
		to = netip.AddrPortFrom(from.addr.Addr(), sentByPort(&w.via))
	}
	o := w.out[from.local.index]
	o.Commit(append(o.Begin(), b...), from.at, to)
	if o.Full() {
		w.send(from.local.index, o)
	}
}

// writeBack sends a response over the connection that its request came by. If
// that is gone, a new one is opened to where the Via says (RFC 3261 18.2.2).
func (w *worker) writeBack(l *local, id uint64, to netip.AddrPort, b []byte) bool {
	if st := w.s.streamNamed(l.side, id); st != nil {
		if err := w.s.write(st, l, b); !errors.Is(err, transport.ErrClosed) {
			return err == nil
		}
	}
	if !l.transport.Reliable() || !to.IsValid() {
		return false
	}
	st := w.s.streams[l.side].To(to, l.transport == wire.TLS, "")
	return st != nil && w.s.write(st, l, b) == nil
}

// printable makes text from the network fit for a start line: no control
// characters, and not without end.
func printable(b []byte) string {
	const limit = 120
	if len(b) > limit {
		b = b[:limit]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, string(b))
}
