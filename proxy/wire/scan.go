package wire

import (
	"bytes"
	"errors"
	"fmt"
)

// Errors of Scan. A HeaderError names the header that is at fault.
var (
	// ErrNotSIP: the first line is neither a request line nor a status line.
	ErrNotSIP = errors.New("not a SIP message")
	// ErrIncomplete: the header section has no end.
	ErrIncomplete = errors.New("header section without end")
	// ErrTooMany: more header lines than MaxLines.
	ErrTooMany = errors.New("too many header lines")
)

// HeaderError is a header field that forwarding needs and that is missing,
// doubled or unreadable. It becomes the reason phrase of a 400.
type HeaderError struct{ Problem, Header string }

func (e *HeaderError) Error() string { return e.Problem + " " + e.Header }

// MaxLines bounds the header lines of a message; real ones have about twenty.
const MaxLines = 1024

// Line is one header field: all of its physical lines, where it is folded.
type Line struct {
	Name Name
	// Start is where the name begins, End behind the line's CRLF.
	Start, End int
	// Value and ValueEnd enclose the value without the white space around it.
	Value, ValueEnd int
}

// Message is a scanned message. It may be used again for the next Scan, which
// then allocates nothing.
type Message struct {
	// Raw is the message as it came, cut behind its body.
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

	first [names]int16 // index in Lines plus one
	count [names]int16
}

// Scan reads the header section of raw into m. On error m holds what was read so
// far, which may be enough to address an answer. Leading empty lines (RFC 3261
// 7.5) belong to no message: skip them first.
func Scan(raw []byte, m *Message) error {
	*m = Message{Raw: raw, Lines: m.Lines[:0], Length: -1}
	end, next := lineEnd(raw, 0)
	if next < 0 {
		return ErrNotSIP
	}
	if err := m.startLine(raw[:end]); err != nil {
		return err
	}
	m.Head = next
	for at := next; ; {
		if at >= len(raw) {
			return ErrIncomplete
		}
		if raw[at] == '\n' {
			m.Body = at + 1
			return m.frame()
		}
		if raw[at] == '\r' && at+1 < len(raw) && raw[at+1] == '\n' {
			m.Body = at + 2
			return m.frame()
		}
		line, ok := scanLine(raw, at)
		if !ok {
			return ErrIncomplete
		}
		if len(m.Lines) == MaxLines {
			return ErrTooMany
		}
		m.Lines = append(m.Lines, line)
		if line.Name != Other {
			if m.first[line.Name] == 0 {
				m.first[line.Name] = int16(len(m.Lines)) //nolint:gosec // at most MaxLines
			}
			m.count[line.Name]++
		}
		at = line.End
	}
}

// lineEnd gives the end of the line that begins at from, without its line end,
// and the offset behind it; next is -1 if there is no line end.
func lineEnd(raw []byte, from int) (end, next int) {
	i := bytes.IndexByte(raw[from:], '\n')
	if i < 0 {
		return len(raw), -1
	}
	end = from + i
	next = end + 1
	if end > from && raw[end-1] == '\r' {
		end--
	}
	return end, next
}

// scanLine reads the header field that begins at start, with its folded lines.
func scanLine(raw []byte, start int) (Line, bool) {
	end, next := lineEnd(raw, start)
	if next < 0 {
		return Line{}, false
	}
	for next < len(raw) && (raw[next] == ' ' || raw[next] == '\t') {
		if end, next = lineEnd(raw, next); next < 0 {
			return Line{}, false
		}
	}
	l := Line{Start: start, End: next, Value: end, ValueEnd: end}
	colon := bytes.IndexByte(raw[start:end], ':')
	if colon < 0 {
		return l, true // not a header; passed on as it stands
	}
	name := raw[start : start+colon]
	for len(name) > 0 && isSpace(name[len(name)-1]) {
		name = name[:len(name)-1]
	}
	l.Name = nameOf(name)
	l.Value, l.ValueEnd = trim(raw, start+colon+1, end)
	return l, true
}

// trim takes linear white space, fold included, from both ends of raw[from:to].
func trim(raw []byte, from, to int) (int, int) {
	for from < to && isSpace(raw[from]) {
		from++
	}
	for to > from && isSpace(raw[to-1]) {
		to--
	}
	return from, to
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

var sipVersion = []byte("SIP/2.0")

// startLine reads a request line or a status line (RFC 3261 7.1, 7.2).
func (m *Message) startLine(line []byte) error {
	if len(line) > len(sipVersion) && line[len(sipVersion)] == ' ' && bytes.EqualFold(line[:len(sipVersion)], sipVersion) {
		return m.statusLine(line[len(sipVersion)+1:])
	}
	sp := bytes.IndexByte(line, ' ')
	last := bytes.LastIndexByte(line, ' ')
	if sp <= 0 || !isToken(line[:sp]) {
		return ErrNotSIP
	}
	m.Request = true
	m.Method = line[:sp]
	if last == sp || !bytes.EqualFold(line[last+1:], sipVersion) {
		if last > sp && bytes.HasPrefix(bytes.ToUpper(line[last+1:]), []byte("SIP/")) {
			m.URI, m.URIAt = line[sp+1:last], sp+1
			return &HeaderError{"unsupported", "SIP-Version"}
		}
		return &HeaderError{"malformed", "Request-Line"}
	}
	m.URI, m.URIAt = line[sp+1:last], sp+1
	if len(m.URI) == 0 || bytes.IndexByte(m.URI, ' ') >= 0 || bytes.IndexByte(m.URI, '\t') >= 0 ||
		m.URI[0] == '<' {
		return &HeaderError{"malformed", "Request-URI"}
	}
	return nil
}

func (m *Message) statusLine(rest []byte) error {
	if len(rest) < 3 || (len(rest) > 3 && rest[3] != ' ') {
		return ErrNotSIP
	}
	code, ok := Uint(rest[:3])
	if !ok || code < 100 || code > 699 {
		return ErrNotSIP
	}
	m.Status = int(code)
	if len(rest) > 4 {
		m.Reason = rest[4:]
	}
	return nil
}

// frame cuts the message behind the body that Content-Length announces (RFC 3261
// 18.3). A datagram without one has its body up to its end.
func (m *Message) frame() error {
	v, ok := m.Value(ContentLength)
	if !ok {
		return nil
	}
	n, ok := Uint(v)
	if !ok {
		return &HeaderError{"malformed", "Content-Length"}
	}
	m.Length = int(n)
	if int(n) > len(m.Raw)-m.Body {
		return &HeaderError{"wrong", "Content-Length"}
	}
	m.Raw = m.Raw[:m.Body+int(n)]
	return nil
}

// First gives the index in Lines of the first field of that name, -1 if there is none.
func (m *Message) First(n Name) int { return int(m.first[n]) - 1 }

// Count tells how many fields have that name.
func (m *Message) Count(n Name) int { return int(m.count[n]) }

// Next gives the index of the next field of the same name behind index i, or -1.
func (m *Message) Next(i int) int {
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
	v, ok := m.Value(CSeq)
	if !ok {
		return 0, nil, false
	}
	i := 0
	for i < len(v) && v[i] >= '0' && v[i] <= '9' {
		i++
	}
	n, ok := Uint(v[:i])
	if !ok || n > 1<<32-1 || i == len(v) || !isSpace(v[i]) {
		return 0, nil, false
	}
	from, to := trim(v, i, len(v))
	if from == to || !isToken(v[from:to]) {
		return 0, nil, false
	}
	return uint32(n), v[from:to], true
}

// Number reads the value of a field that holds delta-seconds or the like; -1 if
// it is absent or unreadable. Parameters and comments behind it are passed over.
func (m *Message) Number(n Name) int {
	v, ok := m.Value(n)
	if !ok {
		return -1
	}
	i := 0
	for i < len(v) && v[i] >= '0' && v[i] <= '9' {
		i++
	}
	if i < len(v) && !isSpace(v[i]) && v[i] != ';' && v[i] != '(' {
		return -1
	}
	x, ok := Uint(v[:i])
	if !ok {
		return -1
	}
	return int(min(x, 1<<31-1)) //nolint:gosec // bounded
}

// Uint reads a decimal number of at most twelve digits.
func Uint(b []byte) (uint64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' || n > 1e12 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// isToken tells whether b is a token of RFC 3261 25.1.
func isToken(b []byte) bool {
	for _, c := range b {
		if !token[c] {
			return false
		}
	}
	return len(b) > 0
}

var token = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "-.!%*_+`'~" {
		t[c] = true
	}
	return t
}()

// Check tells whether the fields that every message has (RFC 3261 8.1.1) are
// there, once each, and readable as far as forwarding needs them.
func (m *Message) Check() error {
	if m.Count(Via) == 0 {
		return &HeaderError{"missing", "Via"}
	}
	for _, h := range [...]struct {
		name Name
		text string
	}{{CallID, "Call-ID"}, {CSeq, "CSeq"}, {From, "From"}, {To, "To"}} {
		switch m.Count(h.name) {
		case 0:
			return &HeaderError{"missing", h.text}
		case 1:
		default:
			return &HeaderError{"more than one", h.text}
		}
		if v, _ := m.Value(h.name); len(v) == 0 {
			return &HeaderError{"empty", h.text}
		}
	}
	_, method, ok := m.CSeqValue()
	if !ok {
		return &HeaderError{"malformed", "CSeq"}
	}
	if m.Request && !bytes.Equal(method, m.Method) {
		return &HeaderError{"method mismatch in", "CSeq"}
	}
	if m.Count(MaxForwards) > 1 {
		return &HeaderError{"more than one", "Max-Forwards"}
	}
	if v, ok := m.Value(MaxForwards); ok {
		if n, ok := Uint(v); !ok || n > 255 {
			return &HeaderError{"malformed", "Max-Forwards"}
		}
	}
	if m.Count(ContentLength) > 1 {
		return &HeaderError{"more than one", "Content-Length"}
	}
	return nil
}

// String shows the start line, for logs.
func (m *Message) String() string {
	if m.Request {
		return fmt.Sprintf("%s %s", m.Method, m.URI)
	}
	return fmt.Sprintf("%d %s", m.Status, m.Reason)
}
