package dialogs

import (
	"net/netip"
	"time"
)

// Side says by which of the two sides a message came in.
type Side uint8

const (
	// Core is the side of the IMS core.
	Core Side = iota
	// Server is the side of the presence server.
	Server
)

// Message is what the SIP path tells of one SUBSCRIBE, NOTIFY or REGISTER, or of
// a response to one. Its slices alias the receive buffer: they are valid until
// the call returns, and what is kept has to be copied. An absent field is empty.
type Message struct {
	At time.Time
	// Transaction is what the transaction of a request is known by, the same for
	// its retransmissions; 0: not told.
	Transaction uint64
	Side        Side
	Source      netip.AddrPort // the neighbour that sent it
	// Transport is the transport of that neighbour: "udp", "tcp" or "tls".
	Transport string

	// Status is 0 for a request.
	Status int
	// Reason is the reason phrase of a response.
	Reason []byte

	RequestURI []byte
	CallID     []byte
	CSeq       uint32
	// FromURI and ToURI are the addresses without display name, brackets and
	// header parameters; FromTag and ToTag their tags.
	FromURI, FromTag []byte
	ToURI, ToTag     []byte

	Event Event
	State SubscriptionState
	// Contacts are those of a SUBSCRIBE, of a REGISTER or of the response to one. Of a
	// NOTIFY it is the one that its Request-URI is, the watcher's.
	Contacts []Contact
	// Identities are the URIs of P-Asserted-Identity.
	Identities [][]byte
	// Associated are the URIs of P-Associated-URI of a REGISTER, in its header or in a
	// message/sip body.
	Associated [][]byte
	UserAgent  []byte
	Expires    int // seconds; -1: absent or unreadable
	// Unasserted: nobody vouches for whoever is named in this SUBSCRIBE.
	Unasserted bool
	// IdentityDiffers: the SUBSCRIBE of this NOTIFY's dialog had another asserted identity
	// than its From, which is the NOTIFY's To.
	IdentityDiffers bool
	// Parcel is set for a NOTIFY of the server.
	Parcel Parcel
}

// Event names an event package and, if there is one, the id (RFC 6665 8.2.1).
type Event struct{ Package, ID []byte }

// SubscriptionState is what a NOTIFY says of its subscription (RFC 6665 8.2.3).
type SubscriptionState struct {
	Terminated bool
	Reason     []byte
	// Expires and RetryAfter are in seconds; -1: absent or unreadable.
	Expires, RetryAfter int
}

// Contact is one address at which a user, or a core, can be reached.
type Contact struct {
	// URI is the address; "*" stands for all bindings of a user.
	URI []byte
	// Instance is +sip.instance without its quotes (RFC 5626 4.1), GRUU the gr parameter
	// of the URI (RFC 5627), empty but not nil where it has no value.
	Instance, GRUU []byte
	// Emergency: it is of an emergency registration (TS 24.229 5.1.6.2).
	Emergency bool
	Expires   int // seconds; -1: absent or unreadable
}

// Parcel is a NOTIFY as it came, with what the SIP path needs to know to send it once
// more.
type Parcel struct {
	// Raw are all its bytes; nil: they are not known. They are valid until the call
	// returns.
	Raw []byte
	// From is the neighbour that sent it, Local names the socket that it came to.
	From  netip.AddrPort
	Local uint8
}

// Ref names the subscription of an open NOTIFY between Notify and NotifyDone.
// The zero Ref is no subscription: the NOTIFY is not ours to recover.
type Ref uint64

// Ruling is what becomes of a request before it is forwarded.
type Ruling struct {
	// Status is 0: forward; otherwise answer with this status and Reason.
	Status int
	Reason string
	// Silent: neither forward nor answer.
	Silent bool
	// Safely: answer when the Monitor knows it Safe, for the server forgets it then.
	Safely bool
	// Again: forward it, but its outcome is known: this NOTIFY was answered with a
	// 2xx before, and the server, which has not heard it, has sent it once more, or a
	// copy of it is late.
	Again bool
}

// OutcomeKind is how a NOTIFY transaction ended.
type OutcomeKind uint8

const (
	// Responded: with a final response.
	Responded OutcomeKind = iota
	// TimedOut: no final response before the deadline.
	TimedOut
	// Unreachable: a transport error after every next hop was tried.
	Unreachable
)

// Outcome is the end of a NOTIFY transaction, told once per transaction (and
// once more with Late set when a final response follows the verdict).
type Outcome struct {
	Kind OutcomeKind
	At   time.Time
	Late bool
	// Early: it has not ended, but its device is alive. Either it is kept and sent anew, or
	// it goes on, and the Verdict is none.
	Early      bool
	Status     int    // of Responded
	Reason     []byte // of Responded
	RetryAfter int    // seconds; -1: absent
	CSeq       uint32
	// Hop is the next hop that was tried last.
	Hop netip.AddrPort
	// Head is the NOTIFY as it was forwarded, start line and headers, without
	// our Via. Valid until the call returns.
	Head []byte
	// Parcel is the NOTIFY as it came, of one that got no 2xx.
	Parcel Parcel
	// Tries are the attempts before its verdict, after the first one.
	Tries []Try
}

// Try is a further attempt of a NOTIFY before its verdict, with the same CSeq.
type Try struct {
	// Why is what the attempt before it met with: "transport" (a hop or transport took
	// it not), "silence", "503", "retry-after" or "491".
	Why string
	At  time.Time
	// Hop and Transport are where this one went, and how ("udp").
	Hop       netip.AddrPort
	Transport string
}

// String tells it to people.
func (t Try) String() string { return "upon " + t.Why + ", by " + t.Transport + " " + t.Hop.String() }

// Verdict is the answer that the server gets to its NOTIFY.
type Verdict struct {
	// Relay: pass the response on as it is (nothing, if there was none).
	Relay bool
	// Status and Reason: answer this instead. Status 0 and not Relay: stay silent.
	Status int
	Reason string
	// Safely: answer when the Monitor knows it Safe, for the server forgets it then.
	Safely bool
}
