package transaction

import "rewatch/proxy/resolve"

// repeat is the event that the request is retransmitted.
func (t *Transaction) repeat(from Origin) Effect {
	if from.Reliable && from.Local == t.from.Local {
		from.Own = t.from.Own
		t.from = from // the connection that it came by first may have ended
	}
	e := t.effect(0)
	switch {
	case t.phase != open && t.keepsAnswer:
		e.Do = Answer
	case t.phase == open && t.absorb && !t.from.Reliable && (t.kind == Invite || t.trying):
		e.Do = Trying // the last 100 was lost (RFC 3261 17.2.1)
	case t.absorb, t.resend, t.held, t.phase == closed, t.more.resumeAt != 0:
		// it is being forwarded already, or gets no answer
	default:
		e.Do = Forward
	}
	return e
}

// follow tells where the ACK or CANCEL of this INVITE is sent: to where the INVITE was sent,
// by the same transport (RFC 3261 9.1, 17.1.1.3), even if the route has changed. An ACK ends
// the retransmission of the answer that it confirms, and is not forwarded where rewatch has
// sent the ACK of that failure itself. A CANCEL has to wait for a response to the INVITE, or
// it could arrive first. After the final response it has no effect.
func (t *Transaction) follow(ack bool) Effect {
	if t.kind == Invite && t.phase == closed && ack {
		t.stopTimers()
	}
	if t.kind != Invite || t.phase == closed {
		return Effect{}
	}
	e := t.effect(Forward)
	switch {
	case ack && t.failed:
		t.stopTimers()
		e.Do = 0
	case ack:
		t.stopTimers()
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

// release sends the CANCEL that was held to where its INVITE was sent.
func (t *Transaction) release(now Now, h resolve.Hop, attempt uint8) Effect {
	if !t.held || t.phase != open {
		return t.effect(0)
	}
	t.held, t.attempt, t.settled = false, attempt, attempt
	t.setHop(h)
	t.beginAttempt(now)
	return t.effect(Send)
}
