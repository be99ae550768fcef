package wire

import "bytes"

// EventValue is a parsed Event field (RFC 6665 8.2.1): the event package and the id, which are
// compared byte by byte. Values that are no token are left out.
type EventValue struct{ Package, ID []byte }

// ParseEvent parses an Event field.
func ParseEvent(v []byte) (e EventValue) {
	pkg, params := cutParams(v)
	if !isToken(pkg) {
		return e
	}
	e.Package = pkg
	if id, _ := Param(params, "id"); isToken(id) {
		e.ID = id
	}
	return e
}

// StateValue is a parsed Subscription-State field (RFC 6665 8.2.3).
type StateValue struct {
	Terminated bool
	Expires    int // seconds; -1: absent or unreadable
}

// ParseState parses a Subscription-State field. Some servers leave the field out; an empty value is
// an unknown state.
func ParseState(v []byte) StateValue {
	state, params := cutParams(v)
	return StateValue{Terminated: EqualFold(state, "terminated"), Expires: Seconds(param(params, "expires"))}
}

// ContactValue is one parsed Contact value (RFC 3261 20.10).
type ContactValue struct {
	// URI is the address itself; "*" stands for all bindings of a user.
	URI []byte
	// Instance is +sip.instance without its quotes (RFC 5626 4.1).
	Instance []byte
	// GRUU is the gr parameter of the URI (RFC 5627 3.3); empty but not nil where
	// it has no value.
	GRUU []byte
	// Emergency: sos stands among the parameters of the URI or of the field (TS
	// 24.229 5.1.6.2).
	Emergency bool
	// Expires is in seconds; -1: absent or unreadable.
	Expires int
}

// ParseContact parses one Contact value, as Split gives it. Of a malformed URI only the text is
// known.
func ParseContact(v []byte) ContactValue {
	uri, params, _ := Address(v)
	c := ContactURI(uri)
	if _, sos := Param(params, "sos"); sos {
		c.Emergency = true
	}
	c.Instance = unquoted(param(params, "+sip.instance"))
	c.Expires = Seconds(param(params, "expires"))
	return c
}

// ContactURI is a ContactValue of which only the URI is known, as the Request-URI
// of a request in a dialog: it is the Contact of the peer.
func ContactURI(uri []byte) ContactValue {
	c := ContactValue{URI: uri, Expires: -1}
	if !maybeMarked(uri) {
		return c
	}
	u, ok := ParseURI(uri)
	if !ok {
		return c
	}
	if gr, ok := Param(u.Params, "gr"); ok {
		c.GRUU = uri[:0]
		if len(gr) > 0 {
			c.GRUU = gr
		}
	}
	_, c.Emergency = Param(u.Params, "sos")
	return c
}

// maybeMarked tells whether a URI may have a gr or sos parameter. It costs less than parsing.
func maybeMarked(uri []byte) bool {
	for {
		i := bytes.IndexByte(uri, ';')
		if i < 0 || len(uri) < i+3 {
			return false
		}
		if uri = uri[i+1:]; EqualFold(uri[:2], "gr") || EqualFold(uri[:2], "so") {
			return true
		}
	}
}

// maxSeconds bounds every delta-seconds: the 2**32-1 of RFC 3261 is for ever.
const maxSeconds = 1<<31 - 1

// Seconds reads delta-seconds; -1 if there are none.
func Seconds(b []byte) int {
	if len(b) == 0 || digits(b) < len(b) {
		return -1
	}
	n, ok := Uint(b)
	if !ok {
		return maxSeconds
	}
	return int(min(n, maxSeconds)) //nolint:gosec // bounded
}

// cutParams separates a token from the parameters after it.
func cutParams(v []byte) (token, params []byte) {
	if i := bytes.IndexByte(v, ';'); i >= 0 {
		return trimmed(v[:i]), v[i:]
	}
	return trimmed(v), nil
}

// param is the value of a parameter, nil if it is absent.
func param(params []byte, name string) []byte {
	v, _ := Param(params, name)
	return v
}

// unquoted removes the quotes around a value.
func unquoted(v []byte) []byte {
	if n := len(v); n >= 2 && v[0] == '"' && v[n-1] == '"' {
		return v[1 : n-1]
	}
	return v
}
