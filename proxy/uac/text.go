package uac

import "strings"

// clean removes the characters that would end a line from a value of the network: a header or a
// line of our body must not become two.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "?")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// sound says whether a URI can be put between "<" and ">" unchanged.
func sound(uri string) bool {
	return uri != "" && strings.Contains(uri, ":") && !strings.ContainsFunc(uri, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '<' || r == '>' || r == '"'
	})
}

// bareURI gives the text between angle brackets, or all of s if there are none.
func bareURI(s string) string {
	if _, after, ok := strings.Cut(s, "<"); ok {
		s, _, _ = strings.Cut(after, ">")
	}
	return strings.TrimSpace(s)
}

// loose adds the lr parameter, unless it is there: without it the peer would be
// taken for a strict router (RFC 3261 16.6).
func loose(uri string) string {
	head, headers, found := strings.Cut(uri, "?")
	if hasParam(head, "lr") {
		return uri
	}
	head += ";lr"
	if found {
		head += "?" + headers
	}
	return head
}

// hasParam looks for a parameter of a URI, after the host.
func hasParam(uri, name string) bool {
	if _, host, ok := strings.Cut(uri, "@"); ok {
		uri = host
	}
	for i, p := range strings.Split(uri, ";") {
		key, _, _ := strings.Cut(p, "=")
		if i > 0 && strings.EqualFold(strings.TrimSpace(key), name) {
			return true
		}
	}
	return false
}

// domain is the host of a URI without port and parameters; empty for a tel URI.
func domain(uri string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	if !strings.EqualFold(scheme, "sip") && !strings.EqualFold(scheme, "sips") {
		return ""
	}
	if i := strings.IndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if end := strings.IndexByte(rest, ']'); strings.HasPrefix(rest, "[") && end > 0 {
		return rest[:end+1]
	}
	if i := strings.IndexAny(rest, ":;?"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}
