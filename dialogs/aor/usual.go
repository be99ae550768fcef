package aor

import "bytes"

// Most SIP URIs begin with their canonical form, and only parameters follow. To find that
// reads each byte once; it is done several times for every SUBSCRIBE and REGISTER.

// Where a byte may be in a canonical form.
const (
	inUser = 1 << iota
	inHost
)

var usualBytes = func() (table [256]uint8) {
	for c := byte(' ' + 1); c < 0x7f; c++ {
		if bytes.IndexByte([]byte(`<>"%:@`), c) < 0 {
			table[c] |= inUser
		}
		if isAlnum(c) && lower(c) == c || c == '-' || c == '_' || c == '.' {
			table[c] |= inHost
		}
	}
	return table
}()

const usualScheme = "sip:"

// usual gives the length of the canonical form that a URI begins with; 0: appendAny has to
// make it.
func usual(uri []byte) int {
	if len(uri) > MaxURI || len(uri) <= len(usualScheme) || string(uri[:len(usualScheme)]) != usualScheme {
		return 0
	}
	host := len(usualScheme)
	if at := bytes.IndexByte(uri, '@'); at >= 0 {
		for _, c := range uri[host:at] {
			if usualBytes[c]&inUser == 0 {
				return 0
			}
		}
		if at == host {
			return 0
		}
		host = at + 1
	}
	end := host
	for end < len(uri) && usualBytes[uri[end]]&inHost != 0 {
		end++
	}
	if end == host || uri[end-1] == '.' {
		return 0
	}
	rest := uri[end:]
	if p := ":5060"; len(rest) >= len(p) && string(rest[:len(p)]) == p { // the default port, which the canonical form omits
		rest = rest[len(p):]
	}
	if len(rest) > 0 && (rest[0] != ';' && rest[0] != '?' || bytes.IndexByte(rest, '@') >= 0) {
		return 0
	}
	return end
}
