package wire

// Line is one header field: all of its physical lines, where it is folded.
type Line struct {
	Name Name
	// Start is where the name begins, End after the line's CRLF.
	Start, End int
	// Value and ValueEnd enclose the value without the white space around it. A
	// line that is no header field at all has an empty one.
	Value, ValueEnd int
}

// Message is a scanned message. If it is reused for the next Scan, that allocates nothing.
type Message struct {
	// Raw is the message as it came, cut after its body.
	Raw []byte
	// Request tells a request from a response.
	Request bool
	// Method and URI are set for a request, Status and Reason for a response.
	Method, URI []byte
	Status      int
	Reason      []byte
	// Lines are the header fields in their order; Head is where the first begins,
	// Body where the body does.
	Lines      []Line
	Head, Body int
	// Length is the value of Content-Length, -1 if there is none.
	Length int
	// URIAt is the offset of URI in Raw.
	URIAt int

	// cseq is the CSeq once it was read; no method means that it was not.
	cseq       uint32
	cseqMethod []byte

	first [names]int16 // index in Lines plus one
	count [names]int16
}

// First gives the index in Lines of the first field of that name, -1 if there is none.
func (m *Message) First(n Name) int { return int(m.first[n]) - 1 }

// Count tells how many fields have that name. A field may hold several values.
func (m *Message) Count(n Name) int { return int(m.count[n]) }

// Next gives the index of the next field of the same name after index i, or -1.
func (m *Message) Next(i int) int {
	if m.count[m.Lines[i].Name] == 1 {
		return -1
	}
	for j := i + 1; j < len(m.Lines); j++ {
		if m.Lines[j].Name == m.Lines[i].Name {
			return j
		}
	}
	return -1
}

// Value gives the value of the first field of that name.
func (m *Message) Value(n Name) ([]byte, bool) {
	i := m.First(n)
	if i < 0 {
		return nil, false
	}
	return m.At(i), true
}

// At gives the value of Lines[i].
func (m *Message) At(i int) []byte { return m.Raw[m.Lines[i].Value:m.Lines[i].ValueEnd] }

// CSeqValue splits the CSeq (RFC 3261 20.16), whose parts may be folded apart.
func (m *Message) CSeqValue() (uint32, []byte, bool) {
	if m.cseqMethod != nil {
		return m.cseq, m.cseqMethod, true
	}
	v, ok := m.Value(CSeq)
	if !ok {
		return 0, nil, false
	}
	i := digits(v)
	n, ok := Uint(v[:i])
	if !ok || n > 1<<32-1 || i == len(v) || !isSpace(v[i]) {
		return 0, nil, false
	}
	method := trimmed(v[i:])
	if !isToken(method) {
		return 0, nil, false
	}
	m.cseq, m.cseqMethod = uint32(n), method
	return m.cseq, method, true
}

// Number reads the value of a field that holds delta-seconds or the like; -1 if
// it is absent or unreadable. Parameters and comments after it are ignored; a
// number above 1<<31-1 is given as that (RFC 4475 3.1.2.4 and 3.1.2.5).
func (m *Message) Number(n Name) int {
	v, ok := m.Value(n)
	i := digits(v)
	if !ok || i == 0 || (i < len(v) && !isSpace(v[i]) && v[i] != ';' && v[i] != '(') {
		return -1
	}
	x, ok := Uint(v[:i])
	if !ok {
		return 1<<31 - 1
	}
	return int(min(x, 1<<31-1)) //nolint:gosec // bounded
}
