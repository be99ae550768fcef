package transaction

import (
	"slices"

	"rewatch/proxy/wire"
)

// Cause is why a send has failed.
type Cause uint8

const (
	// Refused: the hop did not accept it; nothing more is known.
	Refused Cause = iota
	// Stale: the connection had been established, and has ended.
	Stale
	// Closed: the same, and the peer has closed it in good order (FIN).
	Closed
	// Interrupted: rewatch has closed the connection, which says nothing about the hop.
	Interrupted
	// Overloaded: rewatch or the hop is overloaded.
	Overloaded
	// Oversized: the message is longer than the transport can carry.
	Oversized
)

// Failure is an attempt to send that has failed.
type Failure struct {
	Cause Cause
	// Stream, if not 0, is the connection that failed. The end of a connection that the
	// transaction no longer uses is ignored.
	Stream uint64
	// Told: the failure is that of Attempt, and of no later one.
	Told    bool
	Attempt uint8
}

// of tells whether the failure is that of the present attempt.
func (f *Failure) of(t *Transaction) bool {
	return (f.Stream == 0 || f.Stream == t.stream) && (!f.Told || f.Attempt == t.attempt)
}

// fail is a transport error of the present hop: other transport, fresh connection or
// next hop, else the transaction is over (RFC 3261 16.9).
func (t *Transaction) fail(now Now, f *Failure) Effect {
	e := t.effect(0)
	switch {
	case t.phase != open || !f.of(t) || t.more.resumeAt != 0:
		return e
	case f.Cause == Interrupted:
		if t.kind == Invite && t.proceeding {
			t.stream = 0 // the peer has the request, and answers by another connection
		} else {
			t.retransmitLater(now, 0) // on another connection, until its own deadline
		}
		return e
	case f.Cause == Overloaded && t.kind == Notify:
		return t.postponed(now)
	case f.Cause == Overloaded && !t.upgraded:
		return t.endUnanswered(now, Crowded)
	case f.Cause == Closed && t.retried:
		// Closed in good order, and not because it was idle. The peer may answer by a
		// connection of its own (RFC 3261 18.2.2) until the deadline.
		t.stream = 0
		return e
	}
	return t.tryAnother(now, f.Cause, e)
}

// postponed leaves a NOTIFY that could not be sent for lack of room to the retransmission of
// the server. Where the server does not retransmit, the NOTIFY is sent again: an overload is
// not the watcher's fault.
func (t *Transaction) postponed(now Now) Effect {
	e := t.effect(Postponed)
	switch {
	case !t.from.Reliable:
		e.Do |= Forget
	case t.absorb:
		t.retransmitLater(now, now.Rules.T1)
	}
	return e
}

// tryAnother chooses what to try next: the same hop by UDP, if TCP was used only because of
// the size; the same hop once more, if an established connection broke (the peer may have
// closed it while it was idle); the next hop.
func (t *Transaction) tryAnother(now Now, c Cause, e Effect) Effect {
	e.Failed, e.Do = e.Hop, Send
	stood := c == Stale || c == Closed
	t.otherwise(c)
	switch {
	case t.upgraded:
		if c == Refused {
			e.Do |= NoTCP
		}
		h := t.hop()
		h.Transport, h.Upgraded, h.Either = wire.UDP, false, false
		t.setHop(h)
		t.beginAttempt(now)
	case t.transport.Reliable() && !t.retried && stood:
		t.retried = true
		t.stream = 0
	case t.hopLeft():
		if c != Oversized {
			e.Do |= Bad
		}
		t.advance(now)
	default:
		return t.allHopsFailed(now, c)
	}
	t.tried(now, Untaken)
	e.Hop, e.Attempt = t.hop(), t.attempt
	return e
}

// allHopsFailed ends a transaction whose last hop has failed. If one has refused a NOTIFY only
// for a while, that one gets it again.
func (t *Transaction) allHopsFailed(now Now, c Cause) Effect {
	if c == Oversized {
		return t.endUnanswered(now, TooLong) // which is about the message and not about the hop
	}
	e, refusal := t.effect(Bad), t.more.refusal
	e.Failed = e.Hop
	if refusal != nil && t.pause(now, &Response{Status: 503, Wait: refusal.Wait}) {
		t.setHop(refusal.Hop)
		return e
	}
	e = t.endUnanswered(now, Unreachable)
	e.Do, e.Failed, e.Refusal = Bad, e.Hop, refusal
	return e
}

// otherwise adds the other transport of a hop that takes no datagram to what is left to
// try, behind the other addresses.
func (t *Transaction) otherwise(c Cause) {
	h, ok := t.hop().Otherwise()
	if !ok || c == Oversized || !t.whole {
		return
	}
	own := t.ownMore()
	own.rest = slices.Insert(own.rest, 0, h)
}
