package transaction

// expire is the event that a timer fires: a retransmission, the next hop, the end of a
// pause, a 100, the deadline.
func (t *Transaction) expire(now Now) Effect {
	switch {
	case t.phase == open && now.At < t.giveUp:
		return t.overdue(now)
	case t.phase == open && t.held:
		return t.effect(Forget) // there was no response to its INVITE
	case t.phase == open && t.kind == Invite && t.proceeding:
		// Timer C. To end a call that is only slow would be worse than to go on without a
		// record.
		e := t.effect(Forget)
		e.End = TimedOut
		return e
	case t.phase == open:
		return t.endUnanswered(now, TimedOut)
	case t.more.resendAt != 0 && now.At < t.giveUp:
		// Retransmit the final response to an INVITE until its ACK (Timer G).
		own := t.ownMore()
		own.interval = min(2*own.interval, now.Rules.T2)
		own.resendAt = max(own.resendAt.Add(own.interval), now.At)
		return t.effect(Answer)
	}
	return t.effect(Forget)
}

// overdue handles the timers of an open transaction before its deadline.
func (t *Transaction) overdue(now Now) Effect {
	e := t.effect(0)
	if t.retransmits(now) {
		e.Do |= Send
	}
	if t.more.nextHop != 0 && now.At >= t.more.nextHop {
		t.ownMore().nextHop = 0
		if t.hopLeft() && !t.proceeding {
			e.Failed, e.Do = e.Hop, e.Do|Bad|Send
			t.advance(now)
			t.tried(now, Silence)
		}
	}
	if t.more.resumeAt != 0 && now.At >= t.more.resumeAt {
		t.ownMore().resumeAt = 0
		t.nextAttempt(now)
		t.tried(now, t.more.why)
		e.Do |= Send
	}
	if t.owesTrying() && now.At >= t.created.Add(timerE2(now.Rules.T1)) {
		t.trying = true
		e.Do |= Trying
	}
	e.Hop, e.Attempt = t.hop(), t.attempt
	return e
}

// retransmits tells whether the request has to be sent again now (Timers A and E, RFC
// 3261 17.1.1.2 and 17.1.2.2), and sets the timer anew.
func (t *Transaction) retransmits(now Now) bool {
	if t.more.resendAt == 0 || now.At < t.more.resendAt {
		return false
	}
	own := t.ownMore()
	if !t.resend { // it waited for a connection (see retransmitLater)
		own.resendAt = 0
		return true
	}
	own.interval *= 2
	if t.kind != Invite {
		own.interval = min(own.interval, now.Rules.T2)
		if t.proceeding {
			own.interval = now.Rules.T2
		}
	}
	own.resendAt = max(own.resendAt.Add(own.interval), now.At) // a late tick does not delay those after it
	return true
}

// close ends a transaction that rewatch itself answers. Its record is kept for as long as the
// client may retransmit (Timer J) or a late response may come; when room is short, for as
// long as a datagram may be under way.
func (t *Transaction) close(now Now) {
	t.phase = closed
	t.stopTimers()
	t.repeatFailure(now)
	linger := 64 * now.Rules.T1
	if now.Crowded {
		linger = lingerT4
	}
	t.giveUp = now.At.Add(linger)
}

// shut closes an open transaction that rewatch itself answers. unanswered: no response came.
func (t *Transaction) shut(now Now, unanswered bool) Effect {
	if t.phase == open {
		t.close(now)
		t.unanswered = unanswered
	}
	return t.effect(0)
}

// endUnanswered ends a transaction that got no response.
func (t *Transaction) endUnanswered(now Now, end End) Effect {
	e := t.effect(0)
	e.End, e.Tries = end, t.more.tries
	t.unanswered = true
	t.close(now)
	return e
}
