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
	// Failed hands over a NOTIFY that failed. Whether its user is to blame, or an
	// outage, is told by the others over the same next hop.
	Failed(f Failure)
	// Passed tells of NOTIFYs that got through over a next hop, added up over a while.
	Passed(at time.Time, hop netip.AddrPort, got outage.Passes)
	// Heard tells of requests of users that came from a neighbour on the core side,
	// added up over a while.
	Heard(at time.Time, source netip.AddrPort, got outage.Passes)
	// Interested says whether successes and new subscriptions of this user
	// matter now (a recovery runs, or an alarm waits to be cleared). It is a
	// single atomic load while no recovery runs at all.
	Interested(aor string) bool
	// Banned says whether this user is refused now.
	Banned(aor string, at time.Time) bool
	// Known says whether anything is remembered of this user.
	Known(aor string) bool
	// Returned tells that a client works again without a recovery, and by what.
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
	// Unsent: it was never sent on, for it had to wait behind others. Hop is where its
	// user was heard from last.
	Unsent bool
	// Unreachable: the hop takes nothing.
	Unreachable bool
	// Silent: there was no answer, or one that tells of the core rather than of the
	// phone (408, 5xx).
	Silent bool
	// Superseded: the watcher has a newer subscription of the same kind.
	Superseded bool
	// Witness: it is kept to be delivered, or its watcher is not one of those that are
	// recovered. The failure tells of the path and of nothing else.
	Witness bool
}

// Directory is what the Engine asks of the Monitor.
type Directory interface {
	// User tells what is known of a user; never nil fields, zero values if nothing is.
	User(aor string) User
	// SignedOut ends the registration that User gave before our own de-REGISTER
	// succeeded; the next third-party REGISTER starts a new one. It is false if there
	// was one since: that one stays.
	SignedOut(u User) bool
	// Termination gives what is needed for the terminating NOTIFY of a broken
	// subscription; false where none may be sent (the response killed the
	// dialog, or the dialog is not known).
	Termination(aor, callID, event string) (TerminateJob, bool)
}

// User is what is known of one user for the requests that concern them.
type User struct {
	AOR        string
	Registered bool // a third-party REGISTER was seen and has not lapsed
	AtServer   bool // and the server accepted it
	// Until is when the registration lapses, request the REGISTER that it is from.
	Until   time.Time
	Request uint64
	// SCSCF is the Contact URI of the third-party REGISTER; LastHop the URI of
	// the neighbour that the last SUBSCRIBE came from ("sip:10.0.0.7:5060;transport=tcp").
	SCSCF, LastHop string
	// Contacts are the Contact URIs of the user's subscriptions, the most
	// recently broken one first.
	Contacts []string
	// Emergency: one of them is an emergency registration (";sos", TS 24.229);
	// such a user is never de-registered.
	Emergency bool
}

// Step is one arrow of a recovery's ladder diagram.
type Step struct {
	At time.Time `json:"at"`
	// From and To are "core", "rewatch" or "server"; equal for a note.
	From string `json:"from"`
	To   string `json:"to"`
	// What is the start line in short: "NOTIFY presence", "481 Subscription
	// Does Not Exist", "no response after 28s".
	What string `json:"what"`
}

// userSeed is the same for all that tell users apart in this process.
var userSeed = maphash.MakeSeed()

// UserID tells users apart, by their address of record. It has 32 bits, and differs from
// process to process.
func UserID(aor string) uint64 { return maphash.String(userSeed, aor) >> 32 }
