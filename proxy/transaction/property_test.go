package transaction

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"rewatch/proxy/resolve"
)

// witness plays the neighbours of one transaction and knows what must never happen.
type witness struct {
	*rapid.T

	table *Table
	kind  Kind
	from  Origin
	now   Moment
	// attempt is the latest that was sent, sent how often anything was.
	attempt uint8
	sent    int
	// ended: it was over; lates counts what was told after a verdict.
	ended bool
	lates int
	// deadline is when it has to be over at the latest.
	deadline   Moment
	proceeding bool
}

const key = 7

// TestInvariants: whatever the neighbours and the network do, and in whatever order, a
// transaction is over once, in time, and does nothing afterwards that it should not.
func TestInvariants(t *testing.T) { rapid.Check(t, invariants) }

func invariants(t *rapid.T) {
	w := &witness{T: t, now: 1, kind: Kind(rapid.IntRange(0, 3).Draw(t, "kind"))} //nolint:gosec // four of them
	w.from = Origin{Reliable: rapid.Bool().Draw(t, "came by a stream")}
	w.from.Own = w.kind == Notify && rapid.Bool().Draw(t, "sent by rewatch itself")
	w.from.Reliable = w.from.Reliable || w.from.Own
	w.table = NewTable(16, standard)
	q := Request{Kind: w.kind, From: w.from, Whole: true, Hops: make([]resolve.Hop, rapid.IntRange(1, 4).Draw(t, "hops"))}
	for i := range q.Hops {
		q.Hops[i] = hopOf(rapid.SampledFrom([]string{"a", "b/tcp", "c/up"}).Draw(t, "hop"))
	}
	w.deadline = w.now.Add(64 * standard.T1)
	if w.kind == Notify {
		w.deadline = w.now.Add(standard.NotifyTimeout)
	}
	if !w.table.Begin(key, w.now, &q, []byte("request")) {
		t.Fatal("it is new")
	}
	for range rapid.IntRange(1, 60).Draw(t, "events") {
		w.happen()
	}
	w.rest()
}

func (w *witness) happen() {
	switch rapid.IntRange(0, 5).Draw(w.T, "event") {
	case 0:
		w.respond()
	case 1:
		f := Failure{Cause: Cause(rapid.IntRange(0, 5).Draw(w.T, "cause"))} //nolint:gosec // six of them
		if rapid.Bool().Draw(w.T, "told") {
			f.Told, f.Attempt = true, w.anyAttempt()
		}
		w.sees(w.table.Fail(key, w.now, &f), 0)
	case 2:
		e := w.table.Repeat(key, w.from, nil)
		if e.Do.Has(Forward) && w.ended && w.kind != Invite {
			w.Fatal("forwarded after its end")
		}
		if e.Do.Has(Answer) && string(e.Text) != "answer" {
			w.Fatalf("answered with %q", e.Text)
		}
	case 3:
		if e := w.table.Follow(key, rapid.Bool().Draw(w.T, "ACK")); e.Known && w.kind != Invite {
			w.Fatal("only an INVITE has an ACK")
		} else if e.Do.Has(Hold) && w.proceeding {
			w.Fatal("a CANCEL may go after a provisional response")
		}
	default:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 9000).Draw(w.T, "ms")) * time.Millisecond)
		w.expire()
	}
}

func (w *witness) anyAttempt() uint8 {
	return uint8(rapid.IntRange(0, int(w.attempt)).Draw(w.T, "attempt")) //nolint:gosec // small
}

func (w *witness) respond() {
	q := Response{
		Kind: w.kind, Attempt: w.anyAttempt(), Wait: -1,
		Status: rapid.SampledFrom([]int{100, 180, 200, 202, 480, 481, 491, 503, 603}).Draw(w.T, "status"),
	}
	if q.Status >= 300 && rapid.Bool().Draw(w.T, "temporary") {
		q.Wait = time.Duration(rapid.IntRange(0, 20).Draw(w.T, "Retry-After")) * time.Second
	}
	e := w.table.Respond(key, w.now, &q)
	w.proceeding = w.proceeding || e.Known && q.Status < 200
	if e.Do.Has(Acknowledge) && (w.kind != Invite || q.Status < 300) {
		w.Fatal("an ACK by rewatch is for failures of INVITEs")
	}
	if e.Known && w.kind == Invite && q.Status >= 300 && !e.Do.Has(Acknowledge) {
		w.Fatal("each failure of an INVITE gets an ACK")
	}
	if e.Do.Has(Relay) && w.ended && w.kind != Invite && q.Status >= 300 && !e.Late && w.from.Reliable {
		w.Fatal("a second answer")
	}
	w.sees(e, q.Status)
}

// expire lets time pass as the owner of a table does.
func (w *witness) expire() {
	for i := range Shards {
		for _, e := range w.table.Expire(i, w.now, nil) {
			w.sees(e, 0)
		}
	}
}

// sees looks at an effect, and does what the owner would do.
func (w *witness) sees(e Effect, status int) {
	if !e.Known {
		return
	}
	if e.Do.Has(Send) {
		w.sends(e)
	}
	if e.Do.Has(Trying) && w.from.Own {
		w.Fatal("a 100 to nobody")
	}
	if e.Do&(Send|Trying) != 0 && string(e.Text) != "request" {
		w.Fatalf("sent %q", e.Text)
	}
	switch {
	case e.Late:
		if w.lates++; w.lates > 1 || w.kind != Notify || !w.ended {
			w.Fatal("told late", w.lates)
		}
	case e.End != NotOver:
		if w.ended {
			w.Fatal("over twice")
		}
		w.ended = true
		if e.End == TimedOut && w.now < w.deadline {
			w.Fatal("too early")
		}
		if status >= 300 && w.kind == Notify || e.End != Responded {
			w.table.Answered(key, []byte("answer"))
		}
	case e.Do.Has(Forget):
		w.ended = true // its end was told, or it is left to its retransmission
	}
	if e.Do.Has(Keep) {
		w.table.Answered(key, []byte("answer"))
	}
}

func (w *witness) sends(e Effect) {
	if w.ended {
		w.Fatal("sent after its end")
	}
	if e.Attempt < w.attempt || e.Attempt > w.attempt+1 {
		w.Fatal("attempt", w.attempt, "to", e.Attempt)
	}
	another := e.Failed != (resolve.Hop{})
	if w.kind == Invite && w.proceeding && !another && !e.Hop.Transport.Reliable() {
		w.Fatal("an INVITE is not retransmitted after a provisional response")
	}
	w.proceeding = w.proceeding && !another
	w.attempt = e.Attempt
	if w.sent++; w.sent > 200 {
		w.Fatal("no end of sending")
	}
}

// rest lets all deadlines pass: it is over then, and nothing is left of it.
func (w *witness) rest() {
	for range 80 {
		w.now = w.now.Add(4 * time.Second)
		w.expire()
	}
	if !w.ended {
		w.Fatal("never over")
	}
	if w.table.Len() != 0 || w.table.bytes.Load() != 0 {
		w.Fatal(w.table.Len(), w.table.bytes.Load())
	}
}
