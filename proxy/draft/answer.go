package draft

import (
	"bytes"
	"hash/maphash"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"rewatch/proxy/wire"
)

// Answer builds a response to the request at hand (RFC 3261 8.2.6): its Vias,
// From, To, Call-ID and CSeq are copied. The bytes are valid until the next message is built.
func (d *Draft) Answer(from netip.AddrPort, status int, reason string, extra ...string) ([]byte, bool) {
	m := &d.Msg
	if len(d.Via.Host) == 0 {
		return nil, false
	}
	d.Edits.Reset()
	d.text = d.text[:0]
	d.Received(from)
	b := append(d.Build[:0], "SIP/2.0 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, Printable([]byte(reason))...)
	b = append(b, "\r\n"...)
	for i := range m.Lines {
		switch m.Lines[i].Name { //nolint:exhaustive // the others are not copied
		case wire.Via:
			b = d.Edits.AppendRange(b, m.Raw, m.Lines[i].Start, m.Lines[i].End)
		case wire.From, wire.CallID, wire.CSeq:
			b = append(b, m.Raw[m.Lines[i].Start:m.Lines[i].End]...)
		case wire.To:
			b = d.appendTo(b, i, status)
		case wire.Timestamp: // RFC 3261 8.2.6.1
			if status == 100 {
				b = d.appendTimestamp(b, i)
			}
		}
	}
	for _, line := range extra {
		b = append(b, line...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "Content-Length: 0\r\n\r\n"...)
	d.Build = b
	return b, true
}

// appendTimestamp copies the Timestamp line, and adds the delay of the answer (RFC 3261
// 8.2.6.1) if the line has none.
func (d *Draft) appendTimestamp(b []byte, i int) []byte {
	line := d.Msg.Lines[i]
	if d.Delay < time.Millisecond || bytes.ContainsAny(d.Msg.At(i), " \t") {
		return append(b, d.Msg.Raw[line.Start:line.End]...)
	}
	b = append(b, d.Msg.Raw[line.Start:line.ValueEnd]...)
	b = strconv.AppendFloat(append(b, ' '), d.Delay.Seconds(), 'f', 3, 64)
	return append(b, "\r\n"...)
}

// appendTo copies the To line, with a tag if it lacks one (RFC 3261 8.2.6.2).
func (d *Draft) appendTo(b []byte, i, status int) []byte {
	m := &d.Msg
	line := m.Lines[i]
	if status == 100 || len(wire.Tag(m.At(i))) > 0 {
		return append(b, m.Raw[line.Start:line.End]...)
	}
	b = append(b, m.Raw[line.Start:line.ValueEnd]...)
	b = append(b, ";tag="...)
	b = d.appendTag(b)
	return append(b, "\r\n"...)
}

// appendTag appends the tag of our own answers to the request at hand. It is a hash, so that a
// retransmission gets the same tag, and the ACK is recognised.
func (d *Draft) appendTag(b []byte) []byte {
	id, _ := d.Msg.Value(wire.CallID)
	return appendHex(append(b, "rw"...), maphash.Bytes(d.Seed, id), 16)
}

// OwnACK tells whether the request at hand is the ACK of an answer of our own. It is not
// forwarded (RFC 3261 17.2.1): the server did not send that answer.
func (d *Draft) OwnACK() bool {
	if string(d.Msg.Method) != "ACK" {
		return false
	}
	to, _ := d.Msg.Value(wire.To)
	tag := wire.Tag(to)
	var buf [18]byte
	return len(tag) == len(buf) && bytes.Equal(tag, d.appendTag(buf[:0]))
}

// Printable makes text from the network fit for a start line: without control characters, and
// not too long.
func Printable(b []byte) string {
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
