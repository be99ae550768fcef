package wire

import "bytes"

// URI is a parsed SIP or SIPS URI (RFC 3261 19.1). Of any other, such as a TEL URI (RFC 3966), it
// has the scheme, and the rest as User.
type URI struct {
	Scheme []byte
	User   []byte // with password
	Host   []byte // without the brackets of an IPv6 reference
	Port   int    // 0: none
	Params []byte // with the leading semicolon
}

// ParseURI parses a URI; ok is false if it has no scheme, no host where one belongs, a malformed
// port, or white space or control characters anywhere.
func ParseURI(b []byte) (u URI, ok bool) {
	colon := bytes.IndexByte(b, ':')
	if colon <= 0 || isDigit(b[0]) || !schemes.holds(b[:colon]) || !uris.holds(b[colon+1:]) {
		return u, false
	}
	u.Scheme = b[:colon]
	rest := b[colon+1:]
	if !EqualFold(u.Scheme, "sip") && !EqualFold(u.Scheme, "sips") {
		u.User = rest
		return u, true
	}
	// The user part may have ; and ? (RFC 3261 25.1), so the @ is searched first. There is
	// only one: another would have to be escaped, and HostPort rejects it.
	if at := bytes.IndexByte(rest, '@'); at >= 0 {
		u.User, rest = rest[:at], rest[at+1:]
	}
	if i := bytes.IndexByte(rest, '?'); i >= 0 {
		rest = rest[:i]
	}
	if i := bytes.IndexByte(rest, ';'); i >= 0 {
		u.Params, rest = rest[i:], rest[:i]
	}
	u.Host, u.Port, ok = HostPort(rest)
	return u, ok
}

// HostPort splits host[:port], with white space around the colon (RFC 4475
// wsinv has some) and an IPv6 reference in brackets.
func HostPort(b []byte) (host []byte, port int, ok bool) {
	b = trimmed(b)
	var rest []byte
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || !isIPv6(b[1:end]) {
			return nil, 0, false
		}
		host, rest = b[1:end], trimmed(b[end+1:])
	} else {
		host = b
		if colon := bytes.IndexByte(b, ':'); colon >= 0 {
			host, rest = trimmed(b[:colon]), b[colon:]
		}
		if !hosts.holds(host) {
			return nil, 0, false
		}
	}
	if len(rest) == 0 {
		return host, 0, true
	}
	if rest[0] != ':' {
		return nil, 0, false
	}
	n, ok := Uint(trimmed(rest[1:]))
	if !ok || n == 0 || n > 65535 {
		return nil, 0, false
	}
	return host, int(n), true
}

// isIPv6 tells whether b looks like an IPv6 address, which netip then parses. A zone has no meaning
// on another host and is not allowed.
func isIPv6(b []byte) bool {
	colon := false
	for _, c := range b {
		switch {
		case c == ':':
			colon = true
		case isDigit(c), c == '.', 'a' <= lower(c) && lower(c) <= 'f':
		default:
			return false
		}
	}
	return colon
}
