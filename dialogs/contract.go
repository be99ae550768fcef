package dialogs

import (
	"hash/maphash"
	"net/netip"
	"time"

	"rewatch/policy"
	"rewatch/policy/outage"
)

// Recovery is what the Monitor asks of the Engine. Every method returns at once
// and may be called from the SIP path.
type Recovery interface {
	// Offer hands over what happened to a user.
	Offer(aor string, e policy.Event)
	// Failed hands over a NOTIFY that failed. The outcomes of others over the same next hop
	// show whether its user is the cause, or an outage.
	Failed(f Failure)
	// Passed tells how many NOTIFYs got a 2xx over a next hop since the last call.
	Passed(at time.Time, hop netip.AddrPort, got outage.Passes)
	// Heard tells how many requests of users came from a neighbour on the core side since
	// the last call.
	Heard(at time.Time, source netip.AddrPort, got outage.Passes)
	// Interested says whether successes and new subscriptions of this user matter now: a
	// recovery runs, or an alarm may clear. It is one atomic load while no recovery runs.
	Interested(aor string) bool
	// Banned says whether the requests of this user are refused now.
	Banned(aor string, at time.Time) bool
	// Known says whether there is a state of this user.
	Known(aor string) bool
	// Returned tells that a client works again without a recovery, and what brought it back.
	Returned(agent string, by policy.By)
	// Trace adds a step to the ladder of this user's running recovery, if any.
	Trace(aor string, s Step)
}

// Failure is a NOTIFY that failed for good.
type Failure struct {
	AOR   string
	Event policy.Event // of the kind NotifyFailed
	// Hop is the next hop that it was sent to; invalid if there was none.
	Hop  netip.AddrPort
	Sent time.Time
	// Unsent: it was never forwarded, for it had to wait for earlier ones. Hop is the
	// neighbour that the last SUBSCRIBE of its user came from.
	Unsent bool
	// Unreachable: there was a transport error.
	Unreachable bool
	// Silent: there was no response, or one of the core rather than of the phone (408, 5xx).
	Silent bool
	// Superseded: the watcher has a newer subscription to the same resource and event.
	Superseded bool
	// Witness: the NOTIFY is kept to be delivered, or its watcher is not recovered
	// (REWATCH_RECOVER). The failure shows the state of the path and nothing else.
	Witness bool
}

// Directory is what the Engine asks of the Monitor.
type Directory interface {
	// User gives what is known of a user; zero values if nothing is.
	User(aor string) User
	// SignedOut ends the registration u after rewatch's de-REGISTER succeeded. It is false
	// if there was a REGISTER after User gave u: then the registration stays.
	SignedOut(u User) bool
	// Termination gives what is needed for the terminating NOTIFY of a failed subscription;
	// false if none may be sent (the response has ended the dialog, or the dialog is not
	// known).
	Termination(aor, callID, event string) (TerminateJob, bool)
}

// User is what is known of one user, for the requests that concern it.
type User struct {
	AOR        string
	Registered bool // a third-party REGISTER was seen and has not expired
	AtServer   bool // and the server accepted it
	// Until is when the registration expires, Request a hash of the REGISTER that it is from.
	Until   time.Time
	Request uint64
	// SCSCF is the Contact URI of the third-party REGISTER; LastHop is the URI of the
	// neighbour that the last SUBSCRIBE came from ("sip:10.0.0.7:5060;transport=tcp").
	SCSCF, LastHop string
	// Contacts are the Contact URIs of the user's subscriptions, the most recently failed
	// one first.
	Contacts []string
	// Emergency: a Contact is an emergency registration (";sos", TS 24.229). Such a user is
	// never de-registered.
	Emergency bool
}

// Step is one arrow of the ladder diagram of a recovery.
type Step struct {
	At time.Time `json:"at"`
	// From and To are "core", "rewatch" or "server"; equal for a note.
	From string `json:"from"`
	To   string `json:"to"`
	// What is the start line in short: "NOTIFY presence", "481 Subscription
	// Does Not Exist", "no response after 28s".
	What string `json:"what"`
}

var userSeed = maphash.MakeSeed()

// UserID is a hash of a user's address of record. It has 32 bits, and differs between
// processes.
func UserID(aor string) uint64 { return maphash.String(userSeed, aor) >> 32 }
