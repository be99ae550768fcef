package transaction

import "time"

// Response is what a Transaction has to know of a response: the fields of our branch, the
// kind of transaction by its CSeq, and its status.
type Response struct {
	Kind    Kind
	Local   uint8
	Attempt uint8
	Loop    uint32
	Stream  uint64
	Status  int
	// Wait is how long to wait before the request is sent again; negative: it is not to be
	// sent again.
	Wait time.Duration
}

const (
	// maxPauses is how often a NOTIFY is sent again after a pause.
	maxPauses = 3
	// answerTime is the least time for a response after a pause, in T1s.
	answerTime = 4
)

// respond is the event that a response arrives.
func (t *Transaction) respond(now Now, q *Response) Effect {
	switch {
	case !t.matches(q):
		return t.effect(Stray)
	case q.Status < 200:
		return t.provisional(now, q)
	case t.phase == closed:
		return t.afterVerdict(q)
	case t.phase == answered:
		return t.afterAnswer(q)
	}
	e := t.effect(0)
	if q.Status < 300 {
		e.Do |= Relay
		t.over(now, q, &e)
		return e
	}
	if t.kind == Invite {
		e.Do |= Acknowledge
	}
	stale := q.Attempt < t.settled
	switch {
	case stale, q.Status == 503 && q.Attempt != t.attempt:
		// That attempt was given up for another one.
	case q.Status == 503 && t.hopLeft():
		e.Failed, e.Do = e.Hop, e.Do|Bad|Send
		t.settled = t.attempt + 1
		t.ownMore().refusal = &Refusal{e.Hop, q.Wait}
		t.advance(now)
		t.tried(now, Unavailable)
		e.Hop, e.Attempt = t.hop(), t.attempt
	case t.pause(now, q):
	default:
		e.Do |= Relay
		t.over(now, q, &e)
	}
	return e
}

// matches tells whether a response belongs to the transaction (RFC 3261 17.1.3). A branch
// that has the same key and other fields is forged.
func (t *Transaction) matches(q *Response) bool {
	return q.Loop == t.loop && q.Local == t.from.Local && q.Stream == t.via &&
		(t.kind != Notify || q.Kind == Notify) && (t.kind != Invite || q.Kind == Invite)
}

// provisional handles a provisional response. A 100 is not forwarded.
func (t *Transaction) provisional(now Now, q *Response) Effect {
	e := t.effect(0)
	if t.phase != open {
		return e
	}
	t.proceeding = true
	if t.kind == Invite {
		t.resend = false
		t.stopTimers()
		t.giveUp = now.At.Add(timerC)
	}
	if t.holds {
		t.holds = false
		e.Do |= Release
	}
	if q.Status != 100 {
		e.Do |= Relay
	}
	return e
}

// pause makes a NOTIFY that was refused for a while wait, if there is time for it before the
// deadline.
func (t *Transaction) pause(now Now, q *Response) bool {
	if q.Wait < 0 || !now.Rules.Retry || now.Rules.NoRetry != nil && now.Rules.NoRetry() || t.kind != Notify || !t.whole || t.attempt >= maxAttempt {
		return false
	}
	at := now.At.Add(max(q.Wait, now.Rules.T1))
	if t.more.pauses >= maxPauses || at.Add(answerTime*now.Rules.T1) > t.giveUp {
		return false
	}
	t.stopTimers()
	t.settled = t.attempt + 1
	own := t.ownMore()
	own.resumeAt, own.why = at, Deferred
	if q.Status == 491 {
		own.why = Glare
	}
	own.pauses++
	return true
}

// over ends the transaction with the response at hand. A NOTIFY that failed is closed, because
// rewatch may answer in the place of the hop; so is one of rewatch's own. Any other transaction
// is kept for a while where its request came by UDP and was sent by a connection: the response
// is kept for retransmissions that may still arrive. Elsewhere a retransmission is forwarded
// like the request, and the Monitor knows that a NOTIFY was answered. The record of an INVITE
// says where its ACK is sent.
func (t *Transaction) over(now Now, q *Response, e *Effect) {
	e.End, e.Tries = Responded, t.more.tries
	if t.kind == Notify && (q.Status >= 300 || t.from.Own) {
		t.close(now)
		t.late = q.Status < 300 // the same response may come again
		return
	}
	repeats := t.absorb && !t.from.Reliable
	if t.kind != Invite && !repeats {
		e.Do |= Forget
		return
	}
	t.phase, t.failed = answered, q.Status >= 300
	t.stopTimers()
	t.giveUp = now.At.Add(64 * now.Rules.T1)
	if !repeats {
		return
	}
	e.Do |= Keep
	if t.failed {
		t.repeatFailure(now) // the response came by a connection and only once
	}
}

// afterAnswer handles a response after the final one. A failure of an INVITE comes again
// because its ACK was lost; the client has it already.
func (t *Transaction) afterAnswer(q *Response) Effect {
	if t.kind == Invite && q.Status >= 300 {
		return t.effect(Acknowledge)
	}
	return t.effect(Relay)
}

// afterVerdict handles a response after rewatch has answered in its place. The 2xx of an
// INVITE is always forwarded (RFC 3261 16.7 step 5), else a call would be up at one end only.
func (t *Transaction) afterVerdict(q *Response) Effect {
	e := t.effect(0)
	if t.lateRelay || t.kind == Invite && q.Status < 300 {
		e.Do = Relay
	}
	if t.kind == Invite && q.Status >= 300 {
		e.Do |= Acknowledge
	}
	// A repetition of the response that was judged is not told.
	if t.kind == Notify && !t.late && (t.unanswered || q.Status < 300) {
		t.late = true
		e.End, e.Late = Responded, true
	}
	return e
}
