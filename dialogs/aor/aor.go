package aor

import (
	"bytes"
	"strconv"
	"strings"
)

// MaxURI bounds a URI that is kept, in bytes.
const MaxURI = 1024

// Canonical gives the canonical form of a URI, which identifies a user: scheme, user and host
// of a SIP URI (RFC 3261 19.1.4), the bare number of a tel URI (RFC 3966). It is false for
// anything else than a URI.
func Canonical[T string | []byte](uri T) (string, bool) {
	var scratch [MaxScratch]byte
	aor, ok := Append(scratch[:0], []byte(uri))
	if !ok {
		return "", false
	}
	return string(aor), true
}

// MaxScratch is a size, in bytes, that most canonical forms fit in; Append allocates for a
// longer one.
const MaxScratch = 128

// Append appends the canonical form of uri to dst; false as Canonical. The canonical form of a
// canonical form is itself.
func Append(dst, uri []byte) ([]byte, bool) {
	if n := usual(uri); n > 0 {
		return append(dst, uri[:n]...), true
	}
	return appendAny(dst, uri)
}

// appendAny is Append for a URI in any spelling.
func appendAny(dst, uri []byte) ([]byte, bool) {
	uri = bytes.TrimSpace(uri)
	scheme, rest, ok := bytes.Cut(uri, []byte{':'})
	if !ok || len(uri) > MaxURI || !isScheme(scheme) {
		return dst, false
	}
	start := len(dst)
	dst = append(appendLower(dst, scheme), ':')
	switch string(dst[start : len(dst)-1]) {
	case "tel":
		return appendTel(dst, rest)
	case "sip":
		return appendUserHost(dst, rest, 5060)
	case "sips":
		return appendUserHost(dst, rest, 5061)
	default: // "pres:" and "im:" (RFC 3859, 3860) look like SIP URIs
		return appendUserHost(dst, rest, 0)
	}
}

// appendUserHost appends user@host[:port] of a SIP URI without its scheme. A port that is not
// the default one stays, for two users behind one address may differ in it alone.
func appendUserHost(dst, rest []byte, defaultPort int) ([]byte, bool) {
	// Parameters and headers have no bare "@" (RFC 3261 25.1), but the user part may have
	// ";" and "?".
	user, host, ok := bytes.Cut(rest, []byte{'@'})
	if !ok {
		host = rest
	} else if bytes.IndexByte(host, '@') >= 0 {
		return dst, false
	}
	if ok {
		user, _, _ = bytes.Cut(user, []byte{':'}) // the password
		if dst, ok = appendUser(dst, user); !ok {
			return dst, false
		}
		dst = append(dst, '@')
	}
	if i := bytes.IndexAny(host, ";?"); i >= 0 {
		host = host[:i]
	}
	return appendHostPort(dst, host, defaultPort)
}

// appendUser appends the user part, in which each character has one spelling (RFC 3261 19.1.4):
// an escape is resolved if its character is unreserved.
func appendUser(dst, user []byte) ([]byte, bool) {
	if len(user) == 0 {
		return dst, false
	}
	for i := 0; i < len(user); i++ {
		c, escaped := user[i], false
		if c == '%' {
			if i+2 >= len(user) || !isHex(user[i+1]) || !isHex(user[i+2]) {
				return dst, false
			}
			c, escaped = unhex(user[i+1])<<4|unhex(user[i+2]), true
			i += 2
		}
		switch {
		case escaped && !isUnreserved(c), c >= 0x80:
			dst = appendEscaped(dst, c)
		case c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"':
			return dst, false
		default:
			dst = append(dst, c)
		}
	}
	return dst, true
}

func appendHostPort(dst, host []byte, defaultPort int) ([]byte, bool) {
	name, port := host, []byte(nil)
	if end := bytes.IndexByte(host, ']'); len(host) > 0 && host[0] == '[' && end > 0 {
		name, port = host[:end+1], host[end+1:]
		if !All(name[1:end], func(c byte) bool { return isHex(c) || c == ':' || c == '.' }) {
			return dst, false
		}
	} else {
		if i := bytes.IndexByte(host, ':'); i >= 0 {
			name, port = host[:i], host[i:]
		}
		if !All(name, func(c byte) bool { return isAlnum(c) || c == '.' || c == '-' || c == '_' }) {
			return dst, false
		}
		// "example.com." is the same host, fully qualified.
		name = bytes.TrimRight(name, ".")
	}
	if len(name) == 0 || len(name) == 2 && name[0] == '[' {
		return dst, false
	}
	dst = appendLower(dst, name)
	if len(port) <= 1 { // none, or a lone colon
		return dst, len(port) == 0 || port[0] == ':'
	}
	n, err := strconv.Atoi(string(port[1:]))
	if port[0] != ':' || !isDigit(port[1]) || err != nil || n < 1 || n > 65535 {
		return dst, false
	}
	if n != defaultPort {
		dst = strconv.AppendInt(append(dst, ':'), int64(n), 10)
	}
	return dst, true
}

// appendTel appends the number without visual separators (RFC 3966 section 3). The
// phone-context of a local number stays, for it is part of the number's meaning.
func appendTel(dst, rest []byte) ([]byte, bool) {
	number, params, _ := bytes.Cut(rest, []byte{';'})
	start := len(dst)
	global := len(number) > 0 && number[0] == '+'
	if global {
		number = number[1:]
		dst = append(dst, '+')
		start++
	}
	for _, c := range number {
		switch {
		case isDigit(c), !global && (isHex(c) || c == '*' || c == '#'):
			dst = append(dst, lower(c))
		case c == '-' || c == '.' || c == '(' || c == ')':
		default:
			return dst, false
		}
	}
	if len(dst) == start {
		return dst, false
	}
	if context := Param(params, "phone-context"); !global && len(context) > 0 {
		if !All(context, func(c byte) bool { return isAlnum(c) || strings.IndexByte("+-.()", c) >= 0 }) {
			return dst, false
		}
		dst = appendLower(append(dst, ";phone-context="...), context)
	}
	return dst, true
}

func appendEscaped(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[c>>4], digits[c&15])
}

func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, lower(c))
	}
	return dst
}

func isScheme(b []byte) bool {
	if len(b) == 0 || len(b) > 16 || !isAlnum(b[0]) || isDigit(b[0]) {
		return false
	}
	return All(b, func(c byte) bool { return isAlnum(c) || c == '+' || c == '-' || c == '.' })
}

// All says whether every byte is one of a kind.
func All(b []byte, is func(byte) bool) bool {
	for _, c := range b {
		if !is(c) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}

// isDigit says whether c is an ASCII digit.
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || lower(c) >= 'a' && lower(c) <= 'f' }

// isAlnum says whether c is an ASCII letter or digit.
func isAlnum(c byte) bool { return isDigit(c) || lower(c) >= 'a' && lower(c) <= 'z' }

// isUnreserved is the production of RFC 3261 25.1.
func isUnreserved(c byte) bool {
	return isAlnum(c) || strings.IndexByte("-_.!~*'()", c) >= 0
}

// Param gives the value of one of ";"-separated parameters.
func Param(params []byte, name string) []byte {
	for len(params) > 0 {
		var p []byte
		p, params, _ = bytes.Cut(params, []byte{';'})
		key, value, _ := bytes.Cut(p, []byte{'='})
		if equalFold(bytes.TrimSpace(key), name) {
			return bytes.TrimSpace(value)
		}
	}
	return nil
}

// equalFold compares with a lower-case ASCII word.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if lower(c) != word[i] {
			return false
		}
	}
	return true
}
