package transaction

import (
	"time"

	"rewatch/proxy/resolve"
)

// Action is what has to be done; several may be set at once.
type Action uint16

const (
	// Send the request that is kept to Hop, by a branch with Attempt.
	Send Action = 1 << iota
	// Forward the request at hand to Hop, by a branch with Attempt.
	Forward
	// Hold the CANCEL at hand until there is a response to its INVITE.
	Hold
	// Release the CANCEL that is held for this INVITE.
	Release
	// Trying answers 100 to the client.
	Trying
	// Answer the client with Text, the answer that it got before.
	Answer
	// Relay the response at hand.
	Relay
	// Keep the response, as it is relayed, for retransmissions of the request.
	Keep
	// Acknowledge the response at hand, which is a failure of an INVITE.
	Acknowledge
	// Bad says that the hop Failed does not work.
	Bad
	// NoTCP says that the hop Failed does not accept TCP.
	NoTCP
	// Forget the transaction.
	Forget
	// Stray: the response at hand belongs to another transaction.
	Stray
	// Postponed: a NOTIFY could not be sent for lack of room, and waits for its
	// retransmission.
	Postponed
)

// Has tells whether all of these are set.
func (a Action) Has(b Action) bool { return a&b == b }

// End is how a transaction has ended.
type End uint8

const (
	// NotOver: it has not ended.
	NotOver End = iota
	// Responded: the response at hand is the final one.
	Responded
	// TimedOut: no final response came before the deadline.
	TimedOut
	// Unreachable: every hop has failed.
	Unreachable
	// Crowded: rewatch or the next hop is overloaded.
	Crowded
	// TooLong: no transport to the hop can carry a message of that size.
	TooLong
)

// Effect is what follows from an event, and what has to be known of the transaction
// to carry it out.
type Effect struct {
	// Known: there is such a transaction. The rest is empty where there is none.
	Known bool
	Do    Action
	End   End
	// Late: the response came after the verdict.
	Late bool

	Key     uint64
	Kind    Kind
	From    Origin
	Subject uint64
	CSeq    uint32
	Loop    uint32
	// Since is when it began.
	Since Moment
	// Attempt is the present attempt, Hop where it is sent.
	Attempt uint8
	Hop     resolve.Hop
	// Failed is the hop of the event, if the transaction has left it for Hop.
	Failed resolve.Hop
	// Text is a copy of the kept bytes: the request, or for Answer the answer.
	Text []byte
	// Whole: Text is all of the request.
	Whole bool

	// Refusal is, where every hop has failed, the last 503 before that; nil: there was none.
	Refusal *Refusal

	// Tries are, when a NOTIFY has ended, its attempts after the first one.
	Tries []Try
}

// Refusal is a 503 upon which the next hop was tried. It is what the client is told if all of
// those fail: a response is better than an error of ours (RFC 3261 16.7 step 6).
type Refusal struct {
	Hop resolve.Hop
	// Wait is as in Response.
	Wait time.Duration
}

// needsText tells whether the kept bytes are needed to carry out the effect.
func (e *Effect) needsText(status int) bool {
	return e.Do&(Send|Trying|Answer|Acknowledge) != 0 || e.End != NotOver && (e.End != Responded || status >= 300)
}
