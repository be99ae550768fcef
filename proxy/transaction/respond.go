package transaction

import (
	"time"
)

// Response is what a Transaction has to know of a response: what our branch says, the
// kind that its CSeq names, and what it means.
type Response struct {
	Kind    Kind
	Local   uint8
	Attempt uint8
	Loop    uint32
	Stream  uint64
	Status  int
	// Wait is how long it asks to wait before the request is sent again; negative: it
	// does not.
	Wait time.Duration
}

const (
	// maxPauses is how often a NOTIFY is tried again after a pause.
	maxPauses = 3
	// answerTime is what is left for an answer, in T1s, after a pause.
	answerTime = 4
)

// respond is a response.
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
		// That attempt was given up, and another one is under way.
	case q.Status == 503 && t.hopLeft():
		e.Failed, e.Do = e.Hop, e.Do|Bad|Send
		t.settled = t.attempt + 1
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

// matches tells whether a response belongs to the transaction (RFC 3261 17.1.3). A
// branch that merely has its key was not made here.
func (t *Transaction) matches(q *Response) bool {
	return q.Loop == t.loop && q.Local == t.from.Local && q.Stream == t.via &&
		(t.kind != Notify || q.Kind == Notify) && (t.kind != Invite || q.Kind == Invite)
}

// provisional is a provisional response. 100 is for one hop only.
func (t *Transaction) provisional(now Now, q *Response) Effect {
	e := t.effect(0)
	if t.phase != open {
		return e
	}
	t.proceeding = true
	if t.kind == Invite {
		t.resend = false
		t.quiet()
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

// pause puts off a NOTIFY that was refused for a while, if there is time for it
// before the deadline.
func (t *Transaction) pause(now Now, q *Response) bool {
	if q.Wait < 0 || !now.Rules.Retry || now.Rules.Still != nil && now.Rules.Still() || t.kind != Notify || !t.whole || t.attempt >= maxAttempt {
		return false
	}
	at := now.At.Add(max(q.Wait, now.Rules.T1))
	if t.more.pauses >= maxPauses || at.Add(answerTime*now.Rules.T1) > t.giveUp {
		return false
	}
	t.quiet()
	t.settled = t.attempt + 1
	own := t.own()
	own.resumeAt, own.why = at, Deferred
	if q.Status == 491 {
		own.why = Glare
	}
	own.pauses++
	return true
}

// over ends the transaction with the response at hand. A NOTIFY that failed is
// closed, for rewatch may answer in the place of the hop, and so is one that nobody
// waits for. Any other stays for a while
// where its request came by UDP and left by a stream: a retransmission may still be
// under way, for which the response is kept. Elsewhere that follows the same path
// again, and of a NOTIFY the Monitor knows that it was answered. The record of an
// INVITE tells its ACK the way.
func (t *Transaction) over(now Now, q *Response, e *Effect) {
	e.End, e.Tries = Responded, t.more.tries
	if t.kind == Notify && (q.Status >= 300 || t.from.Own) {
		t.close(now)
		t.late = q.Status < 300 // which comes once more, perhaps
		return
	}
	repeats := t.absorb && !t.from.Reliable
	if t.kind != Invite && !repeats {
		e.Do |= Forget
		return
	}
	t.phase, t.failed = answered, q.Status >= 300
	t.quiet()
	t.giveUp = now.At.Add(64 * now.Rules.T1)
	if !repeats {
		return
	}
	e.Do |= Keep
	if t.failed {
		t.repeated(now) // the answer came by a stream, once
	}
}

// afterAnswer is a response that follows the final one. A failure of an INVITE comes
// again because its ACK was lost; the client has had it.
func (t *Transaction) afterAnswer(q *Response) Effect {
	if t.kind == Invite && q.Status >= 300 {
		return t.effect(Acknowledge)
	}
	return t.effect(Relay)
}

// afterVerdict is a response that comes when rewatch has answered in its place. The
// 2xx of an INVITE always goes through (RFC 3261 16.7 step 5), else a call would be
// up at one end only.
func (t *Transaction) afterVerdict(q *Response) Effect {
	e := t.effect(0)
	if t.lateRelay || t.kind == Invite && q.Status < 300 {
		e.Do = Relay
	}
	if t.kind == Invite && q.Status >= 300 {
		e.Do |= Acknowledge
	}
	// One that repeats the response which was judged is no news.
	if t.kind == Notify && !t.late && (t.unanswered || q.Status < 300) {
		t.late = true
		e.End, e.Late = Responded, true
	}
	return e
}
