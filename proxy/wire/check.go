package wire

import (
	"bytes"
	"errors"
)

// HeaderError is a header field that forwarding needs and that is missing, doubled or malformed.
// It becomes the reason phrase of a 400.
type HeaderError struct{ Problem, Header string }

func (e *HeaderError) Error() string { return e.Problem + " " + e.Header }

// Status is the status code that answers the fault: 505 for another version of
// SIP (RFC 3261 21.5.6), else 400.
func (e *HeaderError) Status() int {
	if e.Problem == unsupported {
		return 505
	}
	return 400
}

const (
	malformed   = "malformed"
	doubled     = "more than one"
	unsupported = "unsupported"
	tooMany     = "too many"
)

// MaxVias is how many Via values a message may have: Max-Forwards allows for 70 hops (RFC
// 3261 8.1.1.6), and each value costs time at every hop.
const MaxVias = 128

func isHeaderError(err error) bool {
	var h *HeaderError
	return errors.As(err, &h)
}

var comma = []byte(",")

// mandatory are the fields that every message has exactly once.
var mandatory = [...]Name{CallID, CSeq, From, To}

// Check tells whether the fields that every message has (RFC 3261 8.1.1) are
// there, once each, and well-formed as far as forwarding needs them. Max-Forwards may be missing:
// the proxy adds it (RFC 3261 16.6). ParseVia checks the Via values.
func (m *Message) Check() error {
	if m.Count(Via) == 0 {
		return &HeaderError{"missing", Via.String()}
	}
	vias := 0
	for i := m.First(Via); i >= 0; i = m.Next(i) {
		vias += 1 + bytes.Count(m.At(i), comma)
	}
	if vias > MaxVias {
		return &HeaderError{tooMany, Via.String()}
	}
	for _, n := range mandatory {
		if m.Count(n) == 1 {
			if l := m.Lines[m.First(n)]; l.Value == l.ValueEnd {
				return &HeaderError{"empty", n.String()}
			}
			continue
		}
		if m.Count(n) == 0 {
			return &HeaderError{"missing", n.String()}
		}
		return &HeaderError{doubled, n.String()}
	}
	_, method, ok := m.CSeqValue()
	if !ok {
		return &HeaderError{malformed, CSeq.String()}
	}
	if m.Request && !bytes.Equal(method, m.Method) {
		return &HeaderError{"method mismatch in", CSeq.String()}
	}
	return m.checkMaxForwards()
}

func (m *Message) checkMaxForwards() error {
	v, ok := m.Value(MaxForwards)
	if !ok {
		return nil
	}
	if m.Count(MaxForwards) > 1 {
		return &HeaderError{doubled, MaxForwards.String()}
	}
	if n, ok := Uint(v); !ok || n > 255 {
		return &HeaderError{malformed, MaxForwards.String()}
	}
	return nil
}
