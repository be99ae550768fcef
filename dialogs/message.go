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

// Message has the fields of one SUBSCRIBE, NOTIFY or REGISTER, or of a response to one. Its
// slices are parts of the receive buffer: they are valid until the call returns, and what is
// kept has to be copied. An absent field is empty.
type Message struct {
	At time.Time
	// Transaction is a hash of the transaction of a request, the same for its
	// retransmissions; 0: not known.
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
	// FromURI and ToURI are the URIs without display name, brackets and header parameters;
	// FromTag and ToTag are their tags.
	FromURI, FromTag []byte
	ToURI, ToTag     []byte

	Event Event
	State SubscriptionState
	// Contacts are those of a SUBSCRIBE, of a REGISTER or of the response to one. Of a NOTIFY
	// it is the Request-URI, which is the Contact of the watcher.
	Contacts []Contact
	// Identities are the URIs of P-Asserted-Identity.
	Identities [][]byte
	// Associated are the URIs of P-Associated-URI of a REGISTER, in its header or in a
	// message/sip body.
	Associated [][]byte
	UserAgent  []byte
	Expires    int // seconds; -1: absent or unreadable
	// Unasserted: the neighbour asserts identities, and this SUBSCRIBE has none, so its From is not
	// believed; or the neighbour makes third-party REGISTERs, and has only passed on this REGISTER.
	Unasserted bool
	// IdentityDiffers: the SUBSCRIBE of this NOTIFY's dialog had another asserted identity
	// than its From, which is the To of the NOTIFY.
	IdentityDiffers bool
	// Parcel is set for a NOTIFY of the server.
	Parcel Parcel
}

// Event names an event package and, if there is one, the id (RFC 6665 8.2.1).
type Event struct{ Package, ID []byte }

// SubscriptionState is what a NOTIFY says of its subscription (RFC 6665 8.2.3).
type SubscriptionState struct {
	Terminated bool
	Expires    int // seconds; -1: absent or unreadable
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

// Parcel is a NOTIFY as it was received, with what is needed to send it again.
type Parcel struct {
	// Raw are all its bytes; nil: they are not known. They are valid until the call
	// returns.
	Raw []byte
	// From is the neighbour that sent it, Local the number of the socket that received it.
	From  netip.AddrPort
	Local uint8
}

// Ref names the subscription of an open NOTIFY between Notify and NotifyDone. The zero Ref is
// no subscription: the NOTIFY is forwarded and not judged.
type Ref uint64

// Ruling says what the SIP path does with a request.
type Ruling struct {
	// Status is 0: forward; otherwise answer with this status and Reason.
	Status int
	Reason string
	// Silent: neither forward nor answer.
	Silent bool
	// Safely: answer when the Monitor says that it is Safe, for the server forgets the
	// NOTIFY upon the answer.
	Safely bool
	// Again: forward it, and do not judge its outcome: this NOTIFY was answered with a 2xx
	// before. The server did not get that response, or a copy of the NOTIFY came late.
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

// Outcome is the end of a NOTIFY transaction. NotifyDone is called with it once, and once more
// with Late set if a final response follows the verdict.
type Outcome struct {
	Kind OutcomeKind
	At   time.Time
	Late bool
	// Early: the transaction is open, and its device is alive. Either the NOTIFY is kept and
	// sent anew, or the transaction continues and the Verdict is the zero Verdict.
	Early      bool
	Status     int    // of Responded
	Reason     []byte // of Responded
	RetryAfter int    // seconds; -1: absent
	CSeq       uint32
	// Hop is the next hop that was tried last.
	Hop netip.AddrPort
	// Head is the NOTIFY as it was forwarded, start line and header fields, without the Via
	// of rewatch. It is valid until the call returns.
	Head []byte
	// Parcel is the NOTIFY as it was received, if it got no 2xx.
	Parcel Parcel
	// Tries are the attempts after the first one and before the verdict.
	Tries []Try
}

// Try is a further attempt of a NOTIFY before its verdict, with the same CSeq.
type Try struct {
	// Why is the outcome of the attempt before: "transport" (an error of the transport),
	// "silence", "503", "retry-after" or "491".
	Why string
	At  time.Time
	// Hop and Transport ("udp") are the next hop and the transport of this attempt.
	Hop       netip.AddrPort
	Transport string
}

// String describes the attempt for logs and ladders.
func (t Try) String() string { return "upon " + t.Why + ", by " + t.Transport + " " + t.Hop.String() }

// Verdict is the answer that the server gets to its NOTIFY.
type Verdict struct {
	// Relay: pass the response on as it is (nothing, if there was none).
	Relay bool
	// Status and Reason: answer this instead. Status 0 and not Relay: stay silent.
	Status int
	Reason string
	// Safely: answer when the Monitor says that it is Safe, for the server forgets the
	// NOTIFY upon the answer.
	Safely bool
}
