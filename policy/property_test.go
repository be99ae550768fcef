package policy

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// witness sees everything that Decide does and knows what must never happen.
type witness struct {
	t      *rapid.T
	r      Rules
	s      State
	now    time.Time
	sent   int             // MESSAGEs in the present count
	raised map[string]bool // alarms
	// inFlight is the MESSAGE without an outcome, as who sent it sees it.
	inFlight *Action
	free     *Action // the last MESSAGE that was no strike
	sentAt   time.Time
	// last is the MESSAGE that was to be sent last, left are the requests that were
	// allowed to leave.
	last Action
	left map[departure]bool
	// givenUp is how often the user was given up.
	givenUp int
}

// departure is a request that may leave once. What an outage undid may happen again
// in the same episode, so of a de-REGISTER it counts which giving up it belongs to.
type departure struct {
	signOut bool
	episode uint64
	givenUp int
	try     int
}

func TestInvariants(t *testing.T) { rapid.Check(t, invariants) }

func invariants(t *rapid.T) {
	w := &witness{t: t, now: dawn, raised: make(map[string]bool), left: make(map[departure]bool), r: drawRules(t)}
	for range rapid.IntRange(1, 120).Draw(t, "events") {
		w.happen(w.draw())
	}
	w.comesToRest()
}

func drawRules(t *rapid.T) Rules {
	r := standard()
	r.Threshold = rapid.IntRange(1, 4).Draw(t, "threshold")
	r.Count = CountMode(rapid.IntRange(0, 1).Draw(t, "count"))
	r.OnThreshold = OnThreshold(rapid.IntRange(0, 2).Draw(t, "on threshold"))
	r.Coalesce = rapid.SampledFrom([]time.Duration{0, 500 * time.Millisecond}).Draw(t, "coalesce")
	return r
}

// draw makes up what happens next, among a few subscriptions and dialogs so that
// they meet. As the engine does, it delivers no Tick to a state that waits for
// the outcome of a MESSAGE which is really in flight; nor does it let so much time
// pass that the outcome must have come.
func (w *witness) draw() Event {
	kinds := []EventKind{
		NotifyFailed, NotifyFailed, NotifyOK, LateOK, Subscribed, Subscribed, Ended,
		Registered, Deregistered, DeregisterDone, DeregisterFailed, DeregisterSkipped, Reset, Unban, Excuse, Refreshed, Resumed, Turn, Turn,
	}
	held := w.inFlight != nil &&
		(w.s.Phase == Notifying || w.s.Phase == Gathering || w.s.Deadline.After(w.sentAt.Add(w.r.MessageTimeout)))
	if !w.s.Deadline.IsZero() && !held {
		kinds = append(kinds, Tick, Tick, Tick, Tick)
	}
	if w.inFlight != nil {
		kinds = append(kinds, MessageDone, MessageDone, MessageDone)
	}
	e := Event{Kind: rapid.SampledFrom(kinds).Draw(w.t, "kind")}
	e.At = w.now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(w.t, "ms")) * time.Millisecond)
	switch e.Kind {
	case NotifyFailed, NotifyOK, LateOK, Subscribed, Ended:
		e.Sub = Broken{
			Event:    "presence",
			Resource: rapid.SampledFrom([]string{"bob", "eve", "dan"}).Draw(w.t, "resource"),
			CallID:   fmt.Sprint("call-", rapid.IntRange(1, 4).Draw(w.t, "dialog")),
			Cause:    "408 Request Timeout",
		}
		e.Pointless = e.Kind == NotifyFailed && rapid.IntRange(0, 9).Draw(w.t, "489") == 0
		e.Alive = e.Kind == LateOK && rapid.Bool().Draw(w.t, "alive")
		e.Excused = e.Kind == NotifyFailed && rapid.IntRange(0, 3).Draw(w.t, "excused") == 0
	case Excuse:
		e.Since = e.At.Add(-time.Duration(rapid.IntRange(0, 60).Draw(w.t, "since")) * time.Second)
	case MessageDone:
		e.Episode, e.Try = w.inFlight.Episode, w.inFlight.Try
		e.Undelivered = rapid.Bool().Draw(w.t, "undelivered")
		e.Stumbled = e.Undelivered && rapid.Bool().Draw(w.t, "stumbled")
		w.inFlight = nil
	case Turn:
		e.Episode, e.Try = w.s.Episode, w.s.Tries
		if w.s.Phase == Exhausted {
			e.Try = w.s.DeregisterTried + 1
		}
		e.Try -= rapid.IntRange(0, 3).Draw(w.t, "old") / 3
	case Resumed:
		w.inFlight = nil // with the process that had it
	case Tick:
		if e.At.Before(w.s.Deadline) {
			e.At = w.s.Deadline
		}
	default:
	}
	return e
}

// happen lets Decide decide, and judges it.
func (w *witness) happen(e Event) {
	w.now = e.At
	before := w.s
	before.Broken = slices.Clone(w.s.Broken)
	next, actions := Decide(w.r, w.s, e)
	if !reflect.DeepEqual(before, w.s) {
		w.t.Fatalf("%s changed the state it was given", e.Kind)
	}
	w.s = next
	w.countAnew(before, e, actions)
	if e.Kind == Excuse {
		w.giveBack(before, e)
	}
	w.judge(e, actions)
	if w.s.Phase != Idle && w.s.Deadline.IsZero() {
		w.t.Fatalf("%s leaves %s without a deadline", e.Kind, w.s.Phase)
	}
	if w.s.Phase == Idle && !w.s.Forgettable() && w.s.Deadline.IsZero() {
		w.t.Fatalf("%s leaves a user behind who is never forgotten: %+v", e.Kind, w.s)
	}
	if w.s.Forgettable() && !w.s.Deadline.IsZero() {
		w.t.Fatalf("%s leaves a deadline to a user of whom nothing is known", e.Kind)
	}
	if w.inFlight != nil && !w.s.InFlight {
		w.t.Fatalf("%s forgot the MESSAGE in flight", e.Kind)
	}
}

// excused: it is no strike, and one episode has no more of them than of others.
func (w *witness) excused(e Event, a Action) {
	if w.s.Sent != w.sent {
		w.t.Fatalf("%s: the free MESSAGE %d was counted", e.Kind, a.Attempt)
	}
	if w.free == nil || w.free.Episode != a.Episode || a.Attempt == 1 {
		w.free = &a
	} else if a.Attempt != w.free.Attempt && a.Attempt != w.free.Attempt+1 {
		w.t.Fatalf("%s: free MESSAGE %d after %d", e.Kind, a.Attempt, w.free.Attempt)
	}
	if a.Try > maxUnheard+2*w.r.Threshold {
		w.t.Fatalf("%s: try %d of an episode", e.Kind, a.Try)
	}
	w.free = &a
	if a.Attempt > w.r.Threshold {
		w.t.Fatalf("%s: free MESSAGE %d of %d", e.Kind, a.Attempt, w.r.Threshold)
	}
}

// giveBack: what was counted before the outage is kept, the rest is not.
func (w *witness) giveBack(before State, e Event) {
	n := 0
	for _, at := range before.Strikes {
		if !at.Before(e.Since) {
			n++
		}
	}
	if w.sent = before.Sent - n; w.s.Sent > w.sent {
		w.t.Fatalf("%d strikes of %d are left, %d are of the outage", w.s.Sent, before.Sent, n)
	}
	w.sent = w.s.Sent
}

// countAnew follows the periods in which MESSAGEs are counted.
func (w *witness) countAnew(before State, e Event, actions []Action) {
	over := e.Kind == Reset || before.Phase == Exhausted && w.s.Phase == Idle && w.s.Sent == 0 ||
		e.Kind == Tick && w.s.Forgettable()
	switch e.Kind {
	case Registered, Deregistered:
		over = over || before.Phase != Exhausted
	case DeregisterDone:
		over = over || before.Phase == Idle
	default:
	}
	for _, a := range actions {
		over = over || a.Kind == Recovered && w.r.Count == CountRecovery
	}
	if over {
		w.sent = 0
	}
}

func (w *witness) judge(e Event, actions []Action) {
	gaveUp, firstTries := 0, 0
	for _, a := range actions {
		switch a.Kind {
		case SendMessage:
			if w.repeated(a) {
				w.inFlight, w.sentAt = &a, w.now
				continue
			}
			w.last = a
			if a.Excused {
				w.excused(e, a)
			} else if w.sent++; w.sent > w.r.Threshold {
				w.t.Fatalf("%s: MESSAGE %d of %d", e.Kind, w.sent, w.r.Threshold)
			}
			if w.inFlight != nil {
				w.t.Fatalf("%s: a second MESSAGE in flight", e.Kind)
			}
			if len(a.Broken) == 0 {
				w.t.Fatalf("%s: a MESSAGE that names nothing", e.Kind)
			}
			w.inFlight, w.sentAt = &a, w.now
		case RaiseAlarm:
			if w.raised[a.Alarm] {
				w.t.Fatalf("%s: %s raised twice", e.Kind, a.Alarm)
			}
			w.raised[a.Alarm] = true
		case ClearAlarm:
			if !w.raised[a.Alarm] {
				w.t.Fatalf("%s: %s cleared but not raised", e.Kind, a.Alarm)
			}
			w.raised[a.Alarm] = false
		case GaveUp:
			if w.s.Excused {
				w.t.Fatalf("%s: given up for what an outage did", e.Kind)
			}
			gaveUp++
			w.givenUp++
		case DoDeregister:
			if a.Try == 1 && w.s.DeregisterTried == 0 && e.Kind != Tick {
				firstTries++
			}
			if a.Try > w.r.DeregisterTries {
				w.t.Fatalf("%s: de-REGISTER %d of %d", e.Kind, a.Try, w.r.DeregisterTries)
			}
		case Transmit:
			d := departure{signOut: w.s.Phase == Exhausted, episode: a.Episode, try: a.Try}
			if d.signOut {
				d.givenUp = w.givenUp
			}
			if w.left[d] {
				w.t.Fatalf("%s: %+v leaves twice", e.Kind, d)
			}
			w.left[d] = true
		case StartBan, EndBan, Recovered, Abandoned:
		}
	}
	if firstTries > gaveUp || gaveUp > 1 {
		w.t.Fatalf("%s: gave up %d times with %d de-REGISTERs", e.Kind, gaveUp, firstTries)
	}
}

// repeated: a MESSAGE of before a restart is sent, unless it may have been.
func (w *witness) repeated(a Action) bool {
	if a.Episode != w.last.Episode || a.Try != w.last.Try {
		return false
	}
	if w.left[departure{episode: a.Episode, try: a.Try}] {
		w.t.Fatalf("MESSAGE %d of episode %d is to be sent again", a.Try, a.Episode)
	}
	if w.inFlight != nil || a.Attempt < 1 || a.Attempt > w.r.Threshold {
		w.t.Fatalf("MESSAGE %+v is repeated", a)
	}
	w.sent = w.s.Sent
	w.last = a
	if a.Excused {
		w.free = &a
	}
	return true
}

// comesToRest lets nothing happen any more but outcomes and the passing of time.
func (w *witness) comesToRest() {
	for range 100 {
		switch {
		case w.s.Forgettable():
			for name, raised := range w.raised {
				if raised {
					w.t.Fatalf("%s is never cleared", name)
				}
			}
			return
		case w.inFlight != nil:
			a := w.inFlight
			w.inFlight = nil
			w.happen(Event{Kind: MessageDone, At: w.now.Add(time.Second), Episode: a.Episode, Try: a.Try})
		default:
			at := w.s.Deadline
			if at.Before(w.now) {
				at = w.now
			}
			w.happen(Event{Kind: Tick, At: at})
			if w.s.Phase == Exhausted && !w.s.SignedOut && !w.s.Kept {
				w.happen(Event{Kind: DeregisterFailed, At: w.now.Add(time.Second)})
			}
		}
	}
	w.t.Fatalf("%s is never left: %+v", w.s.Phase, w.s)
}
