package transaction

import (
	"net/netip"
	"time"

	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// Kind is the kind of a transaction, by its method.
type Kind uint8

const (
	// Other is any request that the kinds below do not name.
	Other Kind = iota
	// Notify is a NOTIFY of the server, which is judged when it has ended.
	Notify
	// Invite is an INVITE (RFC 3261 17.1.1).
	Invite
	// Cancel is a CANCEL (RFC 3261 9).
	Cancel
)

// Origin is where a request came from.
type Origin struct {
	Addr   netip.AddrPort
	At     netip.Addr // the address of ours that it came to, where that is not the socket's
	Stream uint64     // number of the connection, 0 for UDP
	Local  uint8      // index of our socket
	// Reliable: it came by a connection, so that nobody retransmits it.
	Reliable bool
	// Own: nobody waits for an answer, because rewatch itself sends the request again (Local
	// is then the socket that it came to before), or because it is a CANCEL, which is
	// answered at once.
	Own bool
}

// Rules are the same for all transactions. T1 and T2 are those of RFC 3261 17.1.1.1.
type Rules struct {
	T1, T2 time.Duration
	// NotifyTimeout is the deadline of a NOTIFY.
	NotifyTimeout time.Duration
	// Retry: a NOTIFY that was refused for a while is sent once more before its deadline.
	Retry bool
	// NoRetry, if set, tells whether Retry is off for now.
	NoRetry func() bool
}

// Now is the time of an event and what holds at that time.
type Now struct {
	At    Moment
	Rules *Rules
	// Crowded: records that are not needed should be removed early.
	Crowded bool
}

// Request is what a Transaction has to know of its request.
type Request struct {
	Kind    Kind
	From    Origin
	Subject uint64 // what the owner knows it by
	CSeq    uint32
	Loop    uint32
	Attempt uint8
	// Hops are where it can be sent, in this order. They are copied.
	Hops []resolve.Hop
	// Held: it is not sent until Release.
	Held bool
	// Whole: all of its bytes are kept, so that it can be sent again.
	Whole bool
}

// phase is how far a transaction has come.
type phase uint8

const (
	// open: no final response yet.
	open phase = iota
	// answered: the final response was forwarded.
	answered
	// closed: rewatch has answered in the place of the hop; a response now is late.
	closed
)

// Transaction is the record of one transaction.
type Transaction struct {
	from    Origin
	subject uint64
	// via is the connection that our branch names; from may be a later one.
	via    uint64
	stream uint64         // the stream it left by, 0 for UDP
	to     netip.AddrPort // where it went last
	more   *more          // never nil

	created, giveUp Moment
	loop, cseq      uint32

	phase phase
	kind  Kind
	// attempt counts the attempts, but not their retransmissions. It is in our branch, so
	// that the response of a hop that was given up is not taken for that of the next.
	// settled is the lowest attempt whose response still counts.
	attempt, settled uint8
	transport        wire.Transport // of the hop
	// upgraded and either are what the hop is.
	upgraded, either bool
	// absorb: retransmissions of the request are not forwarded, because it was sent over a
	// connection.
	absorb bool
	// resend: rewatch retransmits the request (Timer A or E), because it came by a connection
	// and was sent by UDP.
	resend bool
	// whole: all bytes of the request are kept.
	whole bool
	// proceeding: a provisional response came.
	proceeding bool
	// trying: a 100 was sent upstream.
	trying bool
	// held: the CANCEL was not sent yet. holds: a CANCEL is held for this INVITE.
	held, holds bool
	// cancelled: the client has cancelled this INVITE.
	cancelled bool
	// failed: it was answered with a failure.
	failed bool
	// keepsAnswer: the kept bytes are the answer, and no longer the request.
	keepsAnswer bool
	// unanswered: it was closed without a response.
	unanswered bool
	late       bool // a response after the verdict was told to the Monitor
	lateRelay  bool // such responses are forwarded
	retried    bool // sent once more on a new connection
}

// more has the fields that few transactions need.
type more struct {
	// name is the hop's server name of TLS.
	name string
	// rest has the hops after the present one, the last one first.
	rest []resolve.Hop
	// nextHop is when the next hop is tried, resendAt the next retransmission, interval the
	// time from that to the one after it.
	nextHop, resendAt Moment
	interval          time.Duration
	// resumeAt is the end of a pause before the next attempt (0: no pause), pauses
	// how many there were.
	resumeAt Moment
	pauses   uint8
	// why is the reason for the attempt at resumeAt, tries are the attempts of a NOTIFY after
	// the first one.
	why   Why
	tries []Try
	// refusal is the last 503 upon which the next hop was tried.
	refusal *Refusal
}

// noMore is the more of transactions that need none. It is never written.
var noMore more

// ownMore gives the more of this transaction, for writing.
func (t *Transaction) ownMore() *more {
	if t.more == &noMore {
		t.more = new(more)
	}
	return t.more
}

// empty makes a record ready for another transaction.
func (t *Transaction) empty() {
	kept := t.more
	if kept == nil || kept == &noMore {
		kept = &noMore
	} else {
		*kept = more{rest: kept.rest[:0]}
	}
	*t = Transaction{more: kept}
}

const (
	// maxAttempt is the highest attempt that a branch can name.
	maxAttempt = 25
	// timerC is how long an INVITE that is proceeding may be without a final response
	// (RFC 3261 16.6 step 11); every provisional response sets it anew.
	timerC = 3*time.Minute + time.Second
	// lingerT4 is Timer K (RFC 3261 17.1.2.2): how long a retransmission may still arrive.
	lingerT4 = 5 * time.Second
)

// timerE2 is how long it takes a client's Timer E to reach T2: from then on a
// request without a response has to get a 100 (RFC 4320 4.1).
func timerE2(t1 time.Duration) time.Duration { return 7 * t1 }

// begin is the first event: the request is about to be sent to the first of its hops.
func (t *Transaction) begin(now Now, q *Request) {
	t.kind, t.from, t.subject, t.via = q.Kind, q.From, q.Subject, q.From.Stream
	t.cseq, t.loop, t.attempt, t.settled = q.CSeq, q.Loop, q.Attempt, q.Attempt
	t.held, t.whole = q.Held, q.Whole
	t.setHop(q.Hops[0])
	if len(q.Hops) > 1 {
		own := t.ownMore()
		for i := len(q.Hops) - 1; i > 0; i-- {
			own.rest = append(own.rest, q.Hops[i])
		}
	}
	t.created = now.At
	t.giveUp = now.At.Add(64 * now.Rules.T1)
	if t.kind == Notify {
		t.giveUp = now.At.Add(now.Rules.NotifyTimeout)
	}
	t.beginAttempt(now)
	t.limitHopTime(now)
}

// effect describes the transaction as it is now.
func (t *Transaction) effect(do Action) Effect {
	return Effect{
		Known: true, Do: do, Kind: t.kind, From: t.from, Subject: t.subject, CSeq: t.cseq, Loop: t.loop, Since: t.created,
		Attempt: t.attempt, Hop: t.hop(), Whole: t.whole && !t.keepsAnswer,
	}
}

// hop is where the request was sent last.
func (t *Transaction) hop() resolve.Hop {
	return resolve.Hop{Addr: t.to, ServerName: t.more.name, Transport: t.transport, Upgraded: t.upgraded, Either: t.either}
}

// setHop sets where the request is sent.
func (t *Transaction) setHop(h resolve.Hop) {
	t.to, t.transport, t.upgraded, t.either = h.Addr, h.Transport, h.Upgraded, h.Either
	if t.more.name != h.ServerName {
		t.ownMore().name = h.ServerName
	}
}

// stopTimers ends retransmissions, pauses and further attempts.
func (t *Transaction) stopTimers() {
	if t.more != &noMore {
		t.more.resendAt, t.more.nextHop, t.more.resumeAt = 0, 0, 0
	}
}

// beginAttempt sets what depends on the transport that the request is sent by. For the hop it
// is a new transaction, without a response yet.
func (t *Transaction) beginAttempt(now Now) {
	t.proceeding = false
	t.absorb = t.transport.Reliable()
	t.resend = !t.absorb && t.from.Reliable
	t.stream = 0
	if t.more.resendAt != 0 {
		t.more.resendAt = 0
	}
	if t.resend && !t.held {
		own := t.ownMore()
		own.interval = now.Rules.T1
		own.resendAt = now.At.Add(now.Rules.T1)
	}
}

// retransmitLater makes the request be sent again over a new connection, after a pause that
// grows each time.
func (t *Transaction) retransmitLater(now Now, least time.Duration) {
	own := t.ownMore()
	own.interval = max(own.interval, least)
	own.resendAt = now.At.Add(own.interval)
	own.interval = min(max(2*own.interval, firstPause), longestPause)
	t.stream = 0
}

const (
	// firstPause and longestPause are the pauses between the connections for one request.
	firstPause   = 250 * time.Millisecond
	longestPause = 4 * time.Second
)

// nextAttempt begins another attempt.
func (t *Transaction) nextAttempt(now Now) {
	t.attempt++
	t.retried = false
	t.beginAttempt(now)
	t.limitHopTime(now)
}

// hopLeft tells whether another hop may be tried.
func (t *Transaction) hopLeft() bool {
	return len(t.more.rest) > 0 && t.attempt < maxAttempt && !t.cancelled
}

// advance begins an attempt at the next hop.
func (t *Transaction) advance(now Now) {
	own := t.ownMore()
	n := len(own.rest) - 1
	t.setHop(own.rest[n])
	own.rest = own.rest[:n]
	t.nextAttempt(now)
}

// limitHopTime gives the present hop its share of the time that is left.
func (t *Transaction) limitHopTime(now Now) {
	if n := len(t.more.rest); n > 0 {
		t.ownMore().nextHop = now.At.Add(now.At.Until(t.giveUp) / time.Duration(n+1))
	} else if t.more.nextHop != 0 {
		t.more.nextHop = 0
	}
}

// due is when the next timer fires.
func (t *Transaction) due(rules *Rules) Moment {
	at := sooner(t.giveUp, t.more.resendAt)
	if t.phase != open {
		return at
	}
	at = sooner(sooner(at, t.more.nextHop), t.more.resumeAt)
	if t.owesTrying() {
		at = sooner(at, t.created.Add(timerE2(rules.T1)))
	}
	return at
}

// owesTrying tells whether the client has to get a 100 after a while.
func (t *Transaction) owesTrying() bool { return !t.trying && t.kind != Invite && !t.from.Own }

// repeatFailure makes the failure of an INVITE that came by UDP be sent again until its ACK
// comes (Timer G, RFC 3261 17.2.1): the client stopped its retransmissions at the 100.
func (t *Transaction) repeatFailure(now Now) {
	if t.kind == Invite && !t.from.Reliable {
		own := t.ownMore()
		own.interval = now.Rules.T1
		own.resendAt = now.At.Add(now.Rules.T1)
	}
}
