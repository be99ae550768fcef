package draft

import (
	"strconv"

	"rewatch/proxy/wire"
)

// HopEdits is how many edits a hop adds to those of the route, at most: received, rport,
// two Record-Routes in one, Max-Forwards, Expires, Content-Length and the Via.
const HopEdits = 7

// RecordRouted tells whether the request at hand gets our Record-Routes: where a
// dialog may begin (RFC 3261 16.6 step 4), and on every NOTIFY (RFC 6665 4.3).
func (d *Draft) RecordRouted() bool {
	m := &d.Msg
	if string(m.Method) == "NOTIFY" {
		return true
	}
	if string(m.Method) != "SUBSCRIBE" && string(m.Method) != "INVITE" && string(m.Method) != "REFER" {
		return false
	}
	to, _ := m.Value(wire.To)
	return len(wire.Tag(to)) == 0
}

// RecordRoute inserts two URIs of ours above all others (RFC 5658): the upper one is for the
// neighbour that the request is sent to, with a value for its last parameter, the lower one for
// the neighbour that the request came from.
func (d *Draft) RecordRoute(upper, value, lower string) {
	at := d.lastVia
	if i := d.Msg.First(wire.RecordRoute); i >= 0 {
		at = func() int { return d.Msg.Lines[i].Start }
	}
	d.Edits.Insert(at(), d.Scratch("Record-Route: <", upper, value, ">\r\nRecord-Route: <", lower, ">\r\n"))
}

// CountDown decrements Max-Forwards (RFC 3261 16.6 step 3).
func (d *Draft) CountDown() {
	m := &d.Msg
	i := m.First(wire.MaxForwards)
	if i < 0 {
		d.Edits.Insert(d.lastVia(), d.Scratch("Max-Forwards: 70\r\n"))
		return
	}
	n, _ := wire.Uint(m.At(i))
	start := len(d.text)
	d.text = strconv.AppendUint(d.text, n-1, 10)
	d.Edits.Replace(m.Lines[i].Value, m.Lines[i].ValueEnd, d.text[start:])
}

// LimitExpires lowers the Expires of a SUBSCRIBE.
func (d *Draft) LimitExpires(limit int) {
	m := &d.Msg
	i := m.First(wire.Expires)
	switch {
	case i < 0:
		d.Edits.Insert(d.headEnd(), d.number("Expires: ", limit, "\r\n"))
	case m.Number(wire.Expires) > limit:
		d.Edits.Replace(m.Lines[i].Value, m.Lines[i].ValueEnd, d.number("", limit, ""))
	}
}

// ContentLength adds Content-Length, without which the end of a message in a stream is unknown
// (RFC 3261 18.3).
func (d *Draft) ContentLength() {
	m := &d.Msg
	if m.Length < 0 {
		d.Edits.Insert(d.headEnd(), d.number("Content-Length: ", len(m.Raw)-m.Body, "\r\n"))
	}
}

// number writes text with a number in it into the workspace.
func (d *Draft) number(before string, n int, after string) []byte {
	start := len(d.text)
	d.text = append(d.text, before...)
	d.text = strconv.AppendInt(d.text, int64(n), 10)
	d.text = append(d.text, after...)
	return d.text[start:]
}

// headEnd is the offset of the empty line.
func (d *Draft) headEnd() int {
	return d.Msg.Lines[len(d.Msg.Lines)-1].End
}
