package load

import (
	"bytes"
	"fmt"
)

// fault says what is wrong with a message that was forwarded; empty: nothing.
type fault string

const (
	faultStart       fault = "start line changed"
	faultVias        fault = "number of Vias"
	faultVia         fault = "own Vias changed"
	faultRest        fault = "Route or Max-Forwards"
	faultRecordRoute fault = "number of Record-Routes"
	faultOdd         fault = "lines out of place"
	faultTail        fault = "dialog, headers or body changed"
	faultHead        fault = "no message of ours"
)

var okLine = []byte("SIP/2.0 200 OK\r\n")

// checker compares messages with what is expected of them.
type checker struct {
	target  Target
	works   *[kinds]work
	scratch []byte
	sample  string // the first message that was wrong, for the report
}

// request checks a request that has passed the target. h is its scanned head.
func (c *checker) request(raw []byte, h *head, k Kind, t transaction) fault {
	w := &c.works[k]
	f := c.requestHead(raw, h, w, t)
	if f == "" {
		c.scratch = w.tail.appendTo(c.scratch[:0], t)
		if !bytes.Equal(raw[h.tail:], c.scratch) {
			f = faultTail
		}
	}
	return c.keep(f, raw)
}

func (c *checker) requestHead(raw []byte, h *head, w *work, t transaction) fault {
	own, pushed := h.viaAt, 0
	if !c.target.Transparent {
		own, pushed = h.second, 1
	}
	c.scratch = w.start.appendTo(c.scratch[:0], t)
	switch {
	case !bytes.HasPrefix(raw, c.scratch):
		return faultStart
	case h.vias != 2+pushed:
		return faultVias
	case h.odd:
		return faultOdd
	case !bytes.Equal(h.rest, w.restAfter):
		return faultRest
	case h.recordRoutes != w.recordRoutes:
		return faultRecordRoute
	}
	c.scratch = w.vias.appendTo(c.scratch[:0], t)
	if !bytes.Equal(raw[own:h.viaEnd], c.scratch) {
		return faultVia
	}
	return ""
}

// response checks a 200: the target's Via is gone, ours and all else is as it was.
func (c *checker) response(raw []byte, h *head, k Kind, t transaction) fault {
	w := &c.works[k]
	recordRoutes := 0
	if k == Subscribe {
		recordRoutes = w.recordRoutes
	}
	c.scratch = w.vias.appendTo(c.scratch[:0], t)
	var f fault
	switch {
	case !bytes.HasPrefix(raw, okLine):
		f = faultStart
	case h.vias != 2:
		f = faultVias
	case h.odd || h.rest != nil:
		f = faultOdd
	case h.recordRoutes != recordRoutes:
		f = faultRecordRoute
	case !bytes.Equal(raw[h.viaAt:h.viaEnd], c.scratch):
		f = faultVia
	}
	if f == "" {
		c.scratch = w.answer.appendTo(c.scratch[:0], t)
		if !bytes.Equal(raw[h.tail:], c.scratch) {
			f = faultTail
		}
	}
	return c.keep(f, raw)
}

// keep remembers the first message that was wrong.
func (c *checker) keep(f fault, raw []byte) fault {
	if f != "" && c.sample == "" {
		c.sample = fmt.Sprintf("%s:\n%s", f, raw)
	}
	return f
}

// appendAnswer appends the 200 to a request of ours: its Vias, its Record-Routes
// where a dialog begins, and the rest from the template.
func (w *work) appendAnswer(dst, raw []byte, h *head, k Kind, t transaction) []byte {
	dst = append(dst, okLine...)
	dst = append(dst, raw[h.viaAt:h.viaEnd]...)
	if k == Subscribe {
		for _, line := range h.recordRoute[:h.recordRoutes] {
			dst = append(dst, line...)
		}
	}
	return w.answer.appendTo(dst, t)
}

var copied = [][]byte{[]byte("Via:"), []byte("From:"), []byte("To:"), []byte("Call-ID:"), []byte("CSeq:")}

// appendForeign answers a request that we did not send ourselves, such as a
// MESSAGE or an OPTIONS of the target. false: it is an ACK or no request.
func appendForeign(dst, raw []byte) ([]byte, bool) {
	if bytes.HasPrefix(raw, []byte("ACK ")) || !bytes.Contains(raw, []byte("\r\n\r\n")) {
		return dst, false
	}
	dst = append(dst, okLine...)
	for at := nextLine(raw, 0); at > 0; {
		next := nextLine(raw, at)
		if next <= at+2 {
			break
		}
		line := raw[at : next-2]
		for _, name := range copied {
			if bytes.HasPrefix(line, name) {
				dst = append(dst, line...)
				if name[0] == 'T' && !bytes.Contains(line, []byte(";tag=")) {
					dst = append(dst, ";tag=ld"...)
				}
				dst = append(dst, "\r\n"...)
			}
		}
		at = next
	}
	return append(dst, "Content-Length: 0\r\n\r\n"...), true
}
