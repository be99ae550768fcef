package transaction

import "rewatch/proxy/wire"

// Cause is why a send has failed.
type Cause uint8

const (
	// Refused: the hop does not take it, and nothing more is known.
	Refused Cause = iota
	// Stale: the connection had stood, and has ended.
	Stale
	// Closed: the same, and the peer has closed it in good order.
	Closed
	// Interrupted: rewatch has closed the connection, which judges nobody.
	Interrupted
	// Overloaded: there was too much at a time.
	Overloaded
	// Oversized: it is longer than the transport can carry.
	Oversized
)

// Failure is a send that has failed.
type Failure struct {
	Cause Cause
	// Stream, if not 0, is the connection that failed: the end of one that was left
	// already says nothing.
	Stream uint64
	// Told: the failure is of this Attempt, and of no later one.
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
			t.stream = 0 // the peer has it, and answers by another connection
		} else {
			t.later(now, 0) // on another connection, until its own deadline
		}
		return e
	case f.Cause == Overloaded && t.kind == Notify:
		return t.postponed(now)
	case f.Cause == Overloaded && !t.upgraded:
		return t.outlived(now, Crowded)
	case f.Cause == Closed && t.retried:
		// Closed in good order, and not for idleness. The peer may answer by a
		// connection of its own (RFC 3261 18.2.2), until the deadline.
		t.stream = 0
		return e
	}
	return t.another(now, f.Cause, e)
}

// postponed leaves a NOTIFY that found no room to the server's retransmission, and where
// the server sends none it is tried again: a crowded path is no fault of the watcher's.
func (t *Transaction) postponed(now Now) Effect {
	e := t.effect(Postponed)
	switch {
	case !t.from.Reliable:
		e.Do |= Forget
	case t.absorb:
		t.later(now, now.Rules.T1)
	}
	return e
}

// another chooses what to try next: the same hop by UDP, if only the size asked for
// TCP; the same hop once more, if a connection that had stood before broke (the peer
// may have closed it while idle); the next hop.
func (t *Transaction) another(now Now, c Cause, e Effect) Effect {
	e.Failed, e.Do = e.Hop, Send
	stood := c == Stale || c == Closed
	switch {
	case t.upgraded:
		if c == Refused {
			e.Do |= NoTCP
		}
		h := t.hop()
		h.Transport, h.Upgraded = wire.UDP, false
		t.goTo(h)
		t.leaves(now)
	case t.transport.Reliable() && !t.retried && stood:
		t.retried = true
		t.stream = 0
	case t.hopLeft():
		if c != Oversized {
			e.Do |= Bad
		}
		t.advance(now)
	default:
		return t.lost(now, c)
	}
	t.tried(now, Untaken)
	e.Hop, e.Attempt = t.hop(), t.attempt
	return e
}

// lost ends a transaction whose last hop has failed.
func (t *Transaction) lost(now Now, c Cause) Effect {
	if c == Oversized {
		return t.outlived(now, TooLong) // that is said of the message, and of no hop
	}
	e := t.outlived(now, Unreachable)
	e.Do, e.Failed = Bad, e.Hop
	return e
}
