package wire

import "bytes"

// Split gives the first of the comma-separated values in v, and where the next
// one begins in v (-1: it is the last). Commas in quoted strings and in angle
// brackets do not separate.
func Split(v []byte) (first []byte, next int) {
	quoted, angle := false, false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == ',' && !angle:
			from, to := trim(v, 0, i)
			next, _ = trim(v, i+1, len(v))
			return v[from:to], next
		}
	}
	from, to := trim(v, 0, len(v))
	return v[from:to], -1
}

// Address splits a name-addr or addr-spec (RFC 3261 20.10) into its URI and the
// header parameters behind it. at is the offset of the URI in v.
func Address(v []byte) (uri, params []byte, at int) {
	quoted := false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '<':
			end := bytes.IndexByte(v[i:], '>')
			if end < 0 {
				return nil, nil, 0
			}
			return v[i+1 : i+end], v[i+end+1:], i + 1
		}
	}
	// addr-spec: what follows a semicolon belongs to the header, not to the URI.
	if semi := bytes.IndexByte(v, ';'); semi >= 0 {
		from, to := trim(v, 0, semi)
		return v[from:to], v[semi:], from
	}
	from, to := trim(v, 0, len(v))
	return v[from:to], nil, from
}

// Param finds a parameter in a list that begins with a semicolon (or is empty).
// name is lower-case. A parameter without a value has an empty one.
func Param(params []byte, name string) (value []byte, ok bool) {
	for len(params) > 0 {
		var p []byte
		p, params = nextParam(params)
		eq := bytes.IndexByte(p, '=')
		key := p
		if eq >= 0 {
			key = p[:eq]
		}
		from, to := trim(key, 0, len(key))
		if !equalFold(key[from:to], name) {
			continue
		}
		if eq < 0 {
			return nil, true
		}
		v := p[eq+1:]
		from, to = trim(v, 0, len(v))
		return v[from:to], true
	}
	return nil, false
}

// nextParam cuts the first parameter, without its semicolon, from the list.
func nextParam(params []byte) (p, rest []byte) {
	i := 0
	for i < len(params) && (params[i] == ';' || isSpace(params[i])) {
		i++
	}
	start, quoted := i, false
	for ; i < len(params); i++ {
		switch c := params[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == ';':
			return params[start:i], params[i:]
		}
	}
	return params[start:], nil
}

// Tag gives the tag parameter of a From or To value.
func Tag(v []byte) []byte {
	_, params, _ := Address(v)
	tag, _ := Param(params, "tag")
	return tag
}

// URI is a SIP, SIPS or TEL URI taken apart (RFC 3261 19.1, RFC 3966).
type URI struct {
	Scheme []byte
	User   []byte // with password
	Host   []byte // without the brackets of an IPv6 reference
	Port   int    // 0: none
	Params []byte // with the leading semicolon
}

// ParseURI takes a URI apart; ok is false if it has no scheme, no host where one
// belongs, or an unreadable port.
func ParseURI(b []byte) (u URI, ok bool) {
	colon := bytes.IndexByte(b, ':')
	if colon <= 0 {
		return u, false
	}
	u.Scheme = b[:colon]
	rest := b[colon+1:]
	if !equalFold(u.Scheme, "sip") && !equalFold(u.Scheme, "sips") {
		u.User = rest
		return u, len(rest) > 0
	}
	// The user part may hold ; and ? (RFC 3261 25.1), so the @ is looked for first.
	if at := bytes.LastIndexByte(rest, '@'); at >= 0 && !afterHost(rest, at) {
		u.User, rest = rest[:at], rest[at+1:]
	}
	if q := bytes.IndexByte(rest, '?'); q >= 0 {
		rest = rest[:q]
	}
	if semi := bytes.IndexByte(rest, ';'); semi >= 0 {
		u.Params, rest = rest[semi:], rest[:semi]
	}
	u.Host, u.Port, ok = HostPort(rest)
	return u, ok
}

// afterHost tells whether the @ at offset at stands in URI headers
// (sip:host?to=sip:a@b) and does not end a user part.
func afterHost(b []byte, at int) bool {
	q := bytes.IndexByte(b, '?')
	return q >= 0 && q < at && bytes.IndexByte(b[:q], '@') >= 0
}

// HostPort splits host[:port], with white space around the colon (RFC 4475
// wsinv has some) and an IPv6 reference in brackets.
func HostPort(b []byte) (host []byte, port int, ok bool) {
	from, to := trim(b, 0, len(b))
	b = b[from:to]
	var rest []byte
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return nil, 0, false
		}
		host, rest = b[1:end], b[end+1:]
	} else if colon := bytes.IndexByte(b, ':'); colon >= 0 {
		host, rest = b[:colon], b[colon:]
	} else {
		host = b
	}
	from, to = trim(host, 0, len(host))
	host = host[from:to]
	if len(host) == 0 || bytes.ContainsAny(host, " \t\"<>,;?@/") {
		return nil, 0, false
	}
	from, to = trim(rest, 0, len(rest))
	rest = rest[from:to]
	if len(rest) == 0 {
		return host, 0, true
	}
	if rest[0] != ':' {
		return nil, 0, false
	}
	from, to = trim(rest, 1, len(rest))
	n, ok := Uint(rest[from:to])
	if !ok || n == 0 || n > 65535 {
		return nil, 0, false
	}
	return host, int(n), true
}

// ViaValue is one Via value taken apart (RFC 3261 20.42). Its slices alias the value.
type ViaValue struct {
	Transport []byte // "UDP"
	Host      []byte
	Port      int // 0: none
	Params    []byte
	Branch    []byte
	Received  []byte
	RPort     []byte
	// HasRPort: the rport parameter is there (RFC 3581), with or without value.
	HasRPort bool
}

// ParseVia takes one Via value apart, as split off by Split.
func ParseVia(v []byte) (via ViaValue, ok bool) {
	// SIP / 2.0 / UDP host : port ;params, with white space anywhere between.
	rest := v
	for i := range 2 {
		slash := bytes.IndexByte(rest, '/')
		if slash < 0 {
			return via, false
		}
		from, to := trim(rest, 0, slash)
		if i == 0 && !equalFold(rest[from:to], "sip") {
			return via, false
		}
		rest = rest[slash+1:]
	}
	from, _ := trim(rest, 0, len(rest))
	rest = rest[from:]
	sp := 0
	for sp < len(rest) && !isSpace(rest[sp]) {
		sp++
	}
	if sp == 0 || sp == len(rest) {
		return via, false
	}
	via.Transport, rest = rest[:sp], rest[sp:]
	if semi := bytes.IndexByte(rest, ';'); semi >= 0 {
		via.Params, rest = rest[semi:], rest[:semi]
	}
	if via.Host, via.Port, ok = HostPort(rest); !ok {
		return via, false
	}
	via.params()
	return via, true
}

// params reads the parameters that routing a response needs, in one pass.
func (via *ViaValue) params() {
	for rest := via.Params; len(rest) > 0; {
		var p []byte
		p, rest = nextParam(rest)
		key, value := p, []byte(nil)
		if eq := bytes.IndexByte(p, '='); eq >= 0 {
			key, value = p[:eq], p[eq+1:]
			from, to := trim(value, 0, len(value))
			value = value[from:to]
		}
		from, to := trim(key, 0, len(key))
		switch key = key[from:to]; {
		case equalFold(key, "branch"):
			via.Branch = value
		case equalFold(key, "received"):
			via.Received = value
		case equalFold(key, "rport"):
			via.RPort, via.HasRPort = value, true
		}
	}
}
