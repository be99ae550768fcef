package wire

import "bytes"

// Split gives the first of the comma-separated values in v, and where the next
// one begins in v (-1: it is the last). Commas in quoted strings and in angle
// brackets do not separate.
func Split(v []byte) (first []byte, next int) {
	if bytes.IndexByte(v, ',') < 0 {
		return trimmed(v), -1 // most fields; this search compares many bytes at a time
	}
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			i = unquote(v, i)
		case '<':
			// A quote has no meaning in a URI.
			end := bytes.IndexByte(v[i:], '>')
			if end < 0 {
				return trimmed(v), -1
			}
			i += end
		case ',':
			next, _ = trim(v, i+1, len(v))
			return trimmed(v[:i]), next
		}
	}
	return trimmed(v), -1
}

// unquote gives the offset of the quote that ends the quoted string which begins
// at i, or the length of v if none does.
func unquote(v []byte, i int) int {
	for i++; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(v)
}

// Values walks over the comma-separated values of all fields of one name, in
// their order: RFC 3261 7.3.1 makes no difference between one field with a list
// and several fields. Empty values are passed over. It may be copied.
type Values struct {
	m    *Message
	line int // index in m.Lines, -1 at the end
	at   int // where the rest of the line begins in m.Raw, -1: nothing is left
}

// Values gives the values of all fields of that name.
func (m *Message) Values(n Name) Values {
	v := Values{m: m, line: m.First(n), at: -1}
	if v.line >= 0 {
		v.at = m.Lines[v.line].Value
	}
	return v
}

// Next gives the next value and the index in Lines of its field; ok is false after the last one.
func (v *Values) Next() (value []byte, line int, ok bool) {
	for v.line >= 0 {
		if v.at < 0 {
			if v.line = v.m.Next(v.line); v.line < 0 {
				break
			}
			v.at = v.m.Lines[v.line].Value
		}
		first, next := Split(v.m.Raw[v.at:v.m.Lines[v.line].ValueEnd])
		if next >= 0 {
			v.at += next
		} else {
			v.at = -1
		}
		if len(first) > 0 {
			return first, v.line, true
		}
	}
	return nil, -1, false
}

// Address splits a name-addr or addr-spec (RFC 3261 20.10) into its URI and the
// header parameters after it. at is the offset of the URI in v. The URI is nil
// if a quote or a bracket is not closed.
func Address(v []byte) (uri, params []byte, at int) {
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			if i = unquote(v, i); i == len(v) {
				return nil, nil, 0
			}
		case '<':
			end := bytes.IndexByte(v[i:], '>')
			if end < 0 {
				return nil, nil, 0
			}
			from, to := trim(v, i+1, i+end)
			return v[from:to], v[i+end+1:], from
		case ';':
			// addr-spec: parameters after a semicolon belong to the header, not to the URI. No
			// display name outside of quotes has a semicolon.
			from, to := trim(v, 0, i)
			return v[from:to], v[i:], from
		}
	}
	from, to := trim(v, 0, len(v))
	return v[from:to], nil, from
}

// Param finds a parameter in a list that begins with a semicolon (or is empty).
// name is lower-case. A parameter without a value has an empty one; of several
// with the same name the first counts.
func Param(params []byte, name string) (value []byte, ok bool) {
	for at := 0; ; {
		from, eq, to := nextParam(params, at)
		if from == to {
			return nil, false
		}
		if EqualFold(trimmed(params[from:eq]), name) {
			if eq == to {
				return nil, true
			}
			return trimmed(params[eq+1 : to]), true
		}
		at = to
	}
}

// delimiters are the bytes that nextParam stops at within a parameter.
var delimiters = set{'=': true, '"': true}

// nextParam finds the parameter at or after offset at in a list: b[from:to]
// without the white space around it, the equals sign at eq (to, if it has none).
// At the end of the list from and to are the same.
func nextParam(b []byte, at int) (from, eq, to int) {
	for at < len(b) && (b[at] == ';' || isSpace(b[at])) {
		at++
	}
	from, eq = at, -1
	for ; at < len(b) && b[at] != ';'; at++ {
		if !delimiters[b[at]] {
			continue
		}
		if b[at] == '"' {
			if at = unquote(b, at); at == len(b) {
				at--
			}
		} else if eq < 0 {
			eq = at
		}
	}
	_, to = trim(b, from, at)
	if eq < 0 {
		eq = to
	}
	return from, eq, to
}

// Tag gives the tag parameter of a From or To value.
func Tag(v []byte) []byte {
	_, params, _ := Address(v)
	tag, _ := Param(params, "tag")
	return tag
}

// Party gives the URI and the tag of a From or To.
func (m *Message) Party(n Name) (uri, tag []byte) {
	v, _ := m.Value(n)
	uri, params, _ := Address(v)
	tag, _ = Param(params, "tag")
	return uri, tag
}

// ValuesWith calls f for the values of all fields of a name that contain mark, until f returns
// false. Searching costs less than parsing. A search goes on where the last one ended, so every byte
// is read once, and the work is linear in the length of the message.
func (m *Message) ValuesWith(n Name, mark []byte, f func(value []byte) bool) {
	for i := m.First(n); i >= 0; i = m.Next(i) {
		v := m.At(i)
		for found := bytes.Index(v, mark); found >= 0; {
			value, next := Split(v)
			if (next < 0 || next > found) && !f(value) {
				return
			}
			if next < 0 {
				break
			}
			if v, found = v[next:], found-next; found < 0 {
				found = bytes.Index(v, mark)
			}
		}
	}
}
