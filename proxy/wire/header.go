package wire

// Name is the name of a header field that rewatch knows; all others are Other.
type Name uint8

// The header fields that forwarding or observation may read. The compact forms (RFC 3261 7.3.3, RFC
// 6665 8.2.1) map to the same names.
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
	Timestamp
	UserAgent
	PAssociatedURI

	names // how many there are
)

// spelled holds the spelling of the RFCs, which nearly every peer uses.
var spelled = [names]string{ //nolint:gosec // no secrets, names
	Via:               "Via",
	Route:             "Route",
	RecordRoute:       "Record-Route",
	MaxForwards:       "Max-Forwards",
	From:              "From",
	To:                "To",
	CallID:            "Call-ID",
	CSeq:              "CSeq",
	Contact:           "Contact",
	ContentLength:     "Content-Length",
	Event:             "Event",
	SubscriptionState: "Subscription-State",
	Expires:           "Expires",
	RetryAfter:        "Retry-After",
	ProxyRequire:      "Proxy-Require",
	PAssertedIdentity: "P-Asserted-Identity",
	Timestamp:         "Timestamp",
	UserAgent:         "User-Agent",
	PAssociatedURI:    "P-Associated-URI",
}

// String gives the name as the RFCs spell it.
func (n Name) String() string {
	if n == Other || n >= names {
		return "Other"
	}
	return spelled[n]
}

// canonical holds the lower-case form, for the peers that spell otherwise.
var canonical = func() (t [names]string) {
	for n, s := range spelled {
		b := []byte(s)
		for i := range b {
			b[i] = lower(b[i])
		}
		t[n] = string(b)
	}
	return t
}()

const maxName = len("P-Asserted-Identity")

// candidates finds a name by its length and its last letter, which no two of them share: one look-up
// excludes most unknown names, one comparison the rest.
var candidates = func() (t [maxName + 1][32]Name) {
	for n := Other + 1; n < names; n++ {
		s := canonical[n]
		t[len(s)][s[len(s)-1]&31] = n
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
	if len(b) < 2 || len(b) > maxName {
		if len(b) == 1 {
			return compact[b[0]]
		}
		return Other
	}
	n := candidates[len(b)][b[len(b)-1]&31]
	if n == Other || string(b) == spelled[n] || EqualFold(b, canonical[n]) {
		return n
	}
	return Other
}
