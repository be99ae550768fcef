package transaction

import "rewatch/proxy/resolve"

// repeat is the request that has come once more.
func (t *Transaction) repeat(from Origin) Effect {
	if from.Reliable && from.Local == t.from.Local {
		from.Own = t.from.Own
		t.from = from // the connection that it came by before may be gone
	}
	e := t.effect(0)
	switch {
	case t.phase != open && t.keepsAnswer:
		e.Do = Answer
	case t.phase == open && t.absorb && !t.from.Reliable && (t.kind == Invite || t.hundred):
		e.Do = Trying // the one before was lost (RFC 3261 17.2.1)
	case t.absorb, t.resend, t.held, t.phase == closed, t.more.resumeAt != 0:
		// on its way already, or answered with silence
	default:
		e.Do = Forward
	}
	return e
}

// follow tells where the ACK or CANCEL of this INVITE goes, which is where the INVITE
// went, by the same transport (RFC 3261 9.1, 17.1.1.3), whatever has become of its
// route. An ACK ends the retransmission of the answer that it confirms, and goes no
// further where rewatch has confirmed that failure itself. A CANCEL has to wait for a
// response to the INVITE: it could arrive before it. After the final one it has no effect.
func (t *Transaction) follow(ack bool) Effect {
	if t.kind == Invite && t.phase == closed && ack {
		t.quiet()
	}
	if t.kind != Invite || t.phase == closed {
		return Effect{}
	}
	e := t.effect(Forward)
	switch {
	case ack && t.failed:
		t.quiet()
		e.Do = 0
	case ack:
		t.quiet()
	case t.phase != open:
		e.Do = 0
	case !t.proceeding:
		t.holds, t.cancelled = true, true
		e.Do = Hold
	default:
		t.cancelled = true
	}
	return e
}

// release sends the CANCEL that was held to where its INVITE went.
func (t *Transaction) release(now Now, h resolve.Hop, attempt uint8) Effect {
	if !t.held || t.phase != open {
		return t.effect(0)
	}
	t.held, t.attempt, t.settled = false, attempt, attempt
	t.goTo(h)
	t.leaves(now)
	return t.effect(Send)
}
