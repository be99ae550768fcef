package wire

// Name is a header field that rewatch knows; all others are Other.
type Name uint8

// The header fields that forwarding or observation may look at. The compact
// forms (RFC 3261 7.3.3, RFC 6665 8.4) map to the same names.
const (
	Other Name = iota
	Via
	Route
	RecordRoute
	MaxForwards
	From
	To
	CallID
	CSeq
	Contact
	ContentLength
	Event
	SubscriptionState
	Expires
	RetryAfter
	ProxyRequire
	PAssertedIdentity

	names // how many there are
)

// canonical holds the spelling that rewatch writes itself, and the lower-case
// form that names are compared with.
var canonical = [names]string{
	Via:               "via",
	Route:             "route",
	RecordRoute:       "record-route",
	MaxForwards:       "max-forwards",
	From:              "from",
	To:                "to",
	CallID:            "call-id",
	CSeq:              "cseq",
	Contact:           "contact",
	ContentLength:     "content-length",
	Event:             "event",
	SubscriptionState: "subscription-state",
	Expires:           "expires",
	RetryAfter:        "retry-after",
	ProxyRequire:      "proxy-require",
	PAssertedIdentity: "p-asserted-identity",
}

// byLength lists the candidates of each name length, so that most names of no
// interest are passed over by their length alone.
var byLength = func() (t [32][]Name) {
	for n := Other + 1; n < names; n++ {
		t[len(canonical[n])] = append(t[len(canonical[n])], n)
	}
	return t
}()

// compact maps the one-letter forms.
var compact = [256]Name{
	'v': Via, 'V': Via, 'f': From, 'F': From, 't': To, 'T': To,
	'i': CallID, 'I': CallID, 'm': Contact, 'M': Contact,
	'l': ContentLength, 'L': ContentLength, 'o': Event, 'O': Event,
}

// nameOf tells which header field b names.
func nameOf(b []byte) Name {
	if len(b) == 1 {
		return compact[b[0]]
	}
	if len(b) >= len(byLength) {
		return Other
	}
	for _, n := range byLength[len(b)] {
		if equalFold(b, canonical[n]) {
			return n
		}
	}
	return Other
}

// equalFold compares b with the lower-case ASCII text s.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// EqualFold compares b with the lower-case ASCII text s without regard to case.
func EqualFold(b []byte, s string) bool { return equalFold(b, s) }
