package wire

import (
	"bytes"
	"errors"
	"slices"
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

// MaxLines bounds the header lines of a message, those of folded fields counted
// one by one; real messages have about twenty.
const MaxLines = 1024

// Scan reads the header section of raw into m. On error m holds what was read so
// far, which may be enough to address an answer: after a HeaderError that is the
// whole header section. Leading empty lines (RFC 3261 7.5) belong to no message:
// skip them first.
func Scan(raw []byte, m *Message) error {
	*m = Message{Raw: raw, Lines: m.Lines[:0], Length: -1}
	end, next := lineEnd(raw, 0)
	if next < 0 {
		return ErrNotSIP
	}
	start := m.startLine(raw[:end])
	if start != nil && !isHeaderError(start) {
		return start
	}
	m.Head = next
	if err := m.fields(); err != nil {
		return err
	}
	// A folded start line would swallow a field that is inserted before the first one.
	if start == nil && isBlank(raw[m.Head]) {
		start = m.badStart()
	}
	if err := m.frame(); start == nil {
		return err
	}
	return start
}

// fields reads the header fields and the empty line. Each Line is filled in the array; copying it
// there would cost as much as reading it.
func (m *Message) fields() error {
	raw, at := m.Raw, m.Head
	for physical := 0; at < len(raw); {
		if raw[at] == '\n' {
			m.Body = at + 1
			return nil
		}
		if raw[at] == '\r' && at+1 < len(raw) && raw[at+1] == '\n' {
			m.Body = at + 2
			return nil
		}
		if physical >= MaxLines {
			return ErrTooMany
		}
		i := len(m.Lines)
		if i == cap(m.Lines) {
			m.Lines = slices.Grow(m.Lines, 32)
		}
		m.Lines = m.Lines[:i+1]
		l := &m.Lines[i]
		n := 1
		if !l.plain(raw, at, l.Name) {
			n = l.scan(raw, at, MaxLines-physical)
		}
		if n == 0 {
			m.Lines = m.Lines[:i]
			return ErrIncomplete
		}
		physical += n
		if l.Name != Other {
			if m.first[l.Name] == 0 {
				m.first[l.Name] = int16(i + 1) //nolint:gosec // at most MaxLines
			}
			m.count[l.Name]++
		}
		at = l.End
	}
	return ErrIncomplete
}

// lineEnd gives the end of the line that begins at from, without its line end,
// and the offset after it; next is -1 if there is no line end. A bare LF ends a
// line as CRLF does: the servers that write it read it too.
func lineEnd(raw []byte, from int) (end, next int) {
	i := bytes.IndexByte(raw[from:], '\n')
	if i < 0 {
		return len(raw), -1
	}
	end = from + i
	next = end + 1
	if i > 0 && raw[end-1] == '\r' {
		end--
	}
	return end, next
}

// plain reads the header field that begins at start if it has the form of nearly all: on one line,
// with its colon right after the name, and with one space or none before the value.
func (l *Line) plain(raw []byte, start int, guess Name) bool {
	length := bytes.IndexByte(raw[start:], '\n') + 1
	next := start + length
	if length < 3 || next < len(raw) && isBlank(raw[next]) {
		return false
	}
	line := raw[start:next]
	name := guess
	colon := len(spelled[guess])
	if guess == Other || colon >= len(line) || line[colon] != ':' || string(line[:colon]) != spelled[guess] {
		for colon = 0; tokens[line[colon]]; {
			colon++
		}
		if colon == 0 || line[colon] != ':' {
			return false
		}
		name = nameOf(line[:colon])
	}
	from, to := colon+1, length-1
	if line[from] == ' ' {
		from++
	}
	if line[to-1] == '\r' && to > from {
		to--
	}
	if to > from && (isSpace(line[from]) || isSpace(line[to-1])) {
		from, to = trim(line, from, to)
	}
	*l = Line{Name: name, Start: start, End: next, Value: start + from, ValueEnd: start + to}
	return true
}

// scan reads the header field that begins at start, with its folded lines. n is the number of
// lines, 0 if it has no end. It reads not many more than most.
func (l *Line) scan(raw []byte, start, most int) (n int) {
	length := 0
	for _, c := range raw[start:] {
		if !tokens[c] {
			break
		}
		length++
	}
	name := raw[start : start+length]
	colon := start + length
	for colon < len(raw) && isBlank(raw[colon]) {
		colon++ // HCOLON may have white space in front, but no fold
	}
	end, next := lineEnd(raw, colon)
	if next < 0 {
		return 0
	}
	for n = 1; next < len(raw) && isBlank(raw[next]) && n <= most; n++ {
		if end, next = lineEnd(raw, next); next < 0 {
			return 0
		}
	}
	if raw[colon] != ':' || length == 0 {
		*l = Line{Start: start, End: next, Value: end, ValueEnd: end}
		return n // not a header field; forwarded unchanged
	}
	from, to := trim(raw, colon+1, end)
	*l = Line{Name: nameOf(name), Start: start, End: next, Value: from, ValueEnd: to}
	return n
}

const sipVersion = "sip/2.0"

// startLine reads a request line or a status line (RFC 3261 7.1, 7.2).
func (m *Message) startLine(line []byte) error {
	if n := len(sipVersion); len(line) > n && line[n] == ' ' && EqualFold(line[:n], sipVersion) {
		return m.statusLine(line[n+1:])
	}
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || !isToken(line[:sp]) {
		return ErrNotSIP
	}
	m.Request = true
	m.Method = line[:sp]
	last := bytes.LastIndexByte(line, ' ')
	if last == sp {
		return m.badStart()
	}
	version := line[last+1:]
	if len(version) < 4 || !EqualFold(version[:4], "sip/") {
		return m.badStart()
	}
	m.URI, m.URIAt = line[sp+1:last], sp+1
	if !EqualFold(version, sipVersion) {
		return &HeaderError{unsupported, "SIP-Version"}
	}
	if !uris.holds(m.URI) {
		return &HeaderError{malformed, "Request-URI"}
	}
	return nil
}

// badStart is the error of a malformed start line.
func (m *Message) badStart() error {
	if m.Request {
		return &HeaderError{malformed, "Request-Line"}
	}
	return &HeaderError{malformed, "Status-Line"}
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

// frame cuts the message after the body that Content-Length announces (RFC 3261
// 18.3). A datagram without one has its body up to its end. Two of them may mean
// two different bodies, so that nobody knows where the message ends.
func (m *Message) frame() error {
	v, ok := m.Value(ContentLength)
	if !ok {
		return nil
	}
	if m.Count(ContentLength) > 1 {
		return &HeaderError{doubled, ContentLength.String()}
	}
	n, ok := Uint(v)
	if !ok {
		return &HeaderError{malformed, ContentLength.String()}
	}
	m.Length = int(min(n, 1<<31-1)) //nolint:gosec // bounded
	if m.Length > len(m.Raw)-m.Body {
		return &HeaderError{"wrong", ContentLength.String()}
	}
	m.Raw = m.Raw[:m.Body+m.Length]
	return nil
}
