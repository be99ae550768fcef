package aor

import "bytes"

// Contradicts says whether the asserted identities of a SUBSCRIBE, a list of values,
// have another user than its From, a URI. A NOTIFY of its dialog then does not tell
// by its To who watches.
func Contradicts(asserted, from []byte) bool {
	var scratch [2][MaxScratch]byte
	claimed, ok := Append(scratch[0][:0], from)
	readable := false
	for len(asserted) > 0 {
		var value []byte
		value, asserted = NextValue(asserted)
		aor, sound := Append(scratch[1][:0], AddrSpec(value))
		if ok && sound && bytes.Equal(aor, claimed) {
			return false
		}
		readable = readable || sound
	}
	return readable
}

// AddrSpec gives the URI of one name-addr or addr-spec.
func AddrSpec(value []byte) []byte {
	i := 0
	for i < len(value) && value[i] != '<' {
		if value[i] == '"' {
			i = skipQuoted(value, i)
			continue
		}
		i++
	}
	if i < len(value) {
		uri, _, _ := bytes.Cut(value[i+1:], []byte{'>'})
		return bytes.TrimSpace(uri)
	}
	// Without brackets the parameters belong to the header (RFC 3261 20).
	uri, _, _ := bytes.Cut(value, []byte{';'})
	return bytes.TrimSpace(uri)
}

// NextValue splits the first value off a comma-separated list of addresses.
func NextValue(list []byte) (value, rest []byte) {
	bracket := false
	for i := 0; i < len(list); {
		switch c := list[i]; {
		case c == '"' && !bracket:
			i = skipQuoted(list, i)
			continue
		case c == '<':
			bracket = true
		case c == '>':
			bracket = false
		case c == ',' && !bracket:
			return list[:i], list[i+1:]
		}
		i++
	}
	return list, nil
}

// skipQuoted gives the index after the quoted string that begins at i.
func skipQuoted(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}
