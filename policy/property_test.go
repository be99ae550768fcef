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
	sentAt   time.Time
	// last is the MESSAGE that was to be sent last, left are the requests that were
	// allowed to leave.
	last Action
	left map[departure]bool
	// givenUp is how often the user was given up.
	givenUp int
	// deaf is the episode whose MESSAGE the client could not take; heeds are the
	// devices that may have come back upon one.
	deaf  uint64
	heeds map[string]bool
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
	w := &witness{t: t, now: dawn, raised: make(map[string]bool), left: make(map[departure]bool), heeds: make(map[string]bool), r: drawRules(t)}
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
	r.Patience = Patience(rapid.IntRange(0, 1).Draw(t, "patience"))
	r.StrikeTTL = rapid.SampledFrom([]time.Duration{0, time.Minute, 24 * time.Hour}).Draw(t, "strike TTL")
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
	e.Unproven = rapid.IntRange(0, 9).Draw(w.t, "unproven") == 0
	switch e.Kind {
	case NotifyFailed, NotifyOK, LateOK, Subscribed, Ended:
		device := rapid.SampledFrom([]string{"", "A", "A", "B"}).Draw(w.t, "device")
		e.Sub = Broken{
			Event:    rapid.SampledFrom([]string{"presence", "presence", "presence;id=1", "dialog"}).Draw(w.t, "event"),
			Resource: rapid.SampledFrom([]string{"bob", "bob", "eve", "dan"}).Draw(w.t, "resource"),
			Device:   device, Contact: rapid.SampledFrom([]string{"", "sip:x@" + device, "sip:x@nat"}).Draw(w.t, "contact"),
			CallID: fmt.Sprint("call-", rapid.IntRange(1, 4).Draw(w.t, "dialog")),
			Tag:    rapid.SampledFrom([]string{"", "1", "2"}).Draw(w.t, "tag"),
			Cause:  "408 Request Timeout",
		}
		if e.Kind == NotifyFailed && rapid.Bool().Draw(w.t, "granted") {
			e.Sub.Due = e.At.Add(time.Duration(rapid.IntRange(0, 600).Draw(w.t, "due")) * time.Second)
		}
		e.Pointless = e.Kind == NotifyFailed && rapid.IntRange(0, 9).Draw(w.t, "489") == 0
		e.Alive = (e.Kind == LateOK || e.Kind == NotifyOK) && rapid.Bool().Draw(w.t, "alive")
		e.Excused = e.Kind == NotifyFailed && rapid.IntRange(0, 3).Draw(w.t, "excused") == 0
	case Excuse:
		e.Since = e.At.Add(-time.Duration(rapid.IntRange(0, 60).Draw(w.t, "since")) * time.Second)
	case MessageDone:
		e.Episode, e.Try = w.inFlight.Episode, w.inFlight.Try
		e.Undelivered = rapid.Bool().Draw(w.t, "undelivered")
		e.Stumbled = e.Undelivered && rapid.Bool().Draw(w.t, "stumbled")
		e.Deaf = !e.Undelivered && rapid.IntRange(0, 4).Draw(w.t, "deaf") == 0
		e.By = rapid.SampledFrom([]By{ByUnknown, ByMessage, ByNotify}).Draw(w.t, "told by")
		w.inFlight = nil
	case Turn:
		e.Episode, e.Try = w.s.Episode, w.s.Tries
		if w.s.Phase == Exhausted {
			e.Try = w.s.DeregisterTried + 1
		}
		e.Try -= rapid.IntRange(0, 3).Draw(w.t, "old") / 3
	case DeregisterDone:
		e.Others = rapid.Bool().Draw(w.t, "others")
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
	before.Broken, before.Devices = slices.Clone(w.s.Broken), slices.Clone(w.s.Devices)
	before.Strikes = slices.Clone(w.s.Strikes)
	next, actions := Decide(w.r, w.s, e)
	if !reflect.DeepEqual(before, w.s) {
		w.t.Fatalf("%s changed the state it was given", e.Kind)
	}
	w.s = next
	w.age(before, e)
	w.countAnew(before, e, actions)
	if e.Kind == Excuse {
		w.giveBack(before, e)
	}
	w.judge(e, actions)
	w.devices(before, e, actions)
	if w.s.Phase != Idle && w.s.Deadline.IsZero() {
		w.t.Fatalf("%s leaves %s without a deadline", e.Kind, w.s.Phase)
	}
	if w.s.Phase == Idle && !w.s.Forgettable() && w.s.Deadline.IsZero() && !w.counted() {
		w.t.Fatalf("%s leaves a user behind who is never forgotten: %+v", e.Kind, w.s)
	}
	if w.s.Forgettable() && !w.s.Deadline.IsZero() {
		w.t.Fatalf("%s leaves a deadline to a user of whom nothing is known", e.Kind)
	}
	if nothing := (State{Episode: w.s.Episode}); w.s.Forgettable() && !w.s.Equal(nothing) {
		w.t.Fatalf("%s leaves something of a user of whom nothing is known: %+v", e.Kind, w.s)
	}
	if w.inFlight != nil && !w.s.InFlight {
		w.t.Fatalf("%s forgot the MESSAGE in flight", e.Kind)
	}
}

// counted: nothing is left but strikes that count as long as the registration.
func (w *witness) counted() bool {
	s := w.s
	s.Sent, s.Strikes = 0, nil
	return w.r.StrikeTTL == 0 && w.s.Sent > 0 && s.Forgettable()
}

// asLost says whether o is the same as b, which may have been told since.
func (b Broken) asLost(o Broken) bool {
	o.Told = b.Told
	return b.equal(o)
}

// devices judges what was done to whom.
func (w *witness) devices(before State, e Event, actions []Action) {
	for _, b := range before.Broken {
		switch e.Kind {
		case NotifyOK, Subscribed, LateOK, Ended:
			if w.s.Episode == before.Episode && w.s.Phase != Idle && !b.sameDevice(e.Sub) && !slices.ContainsFunc(w.s.Broken, b.asLost) {
				w.t.Fatalf("%s of %+v changed %+v", e.Kind, e.Sub, b)
			}
		default:
		}
	}
	for _, d := range w.s.Devices {
		w.heeds[d.ID+d.Contact] = w.heeds[d.ID+d.Contact] || d.Heeds
	}
	if len(w.s.Devices) > maxDevices {
		w.t.Fatalf("%d devices are remembered", len(w.s.Devices))
	}
	if e.Kind == MessageDone && e.Deaf && before.Phase == Notifying && e.Episode == before.Episode && e.Try == before.Tries {
		w.deaf = e.Episode
		if w.s.Sent > 0 && w.s.Sent >= before.Sent && !before.Excused {
			w.t.Fatalf("a MESSAGE that the client cannot take is a strike: %d after %d", w.s.Sent, before.Sent)
		}
	}
	for _, a := range actions {
		switch a.Kind {
		case SendMessage:
			if a.Episode == w.deaf {
				w.t.Fatalf("%s: MESSAGE %d to a client that cannot take it", e.Kind, a.Try)
			}
		case GaveUp:
			if e.Unproven || a.Episode == w.deaf {
				w.t.Fatalf("%s: given up without proof", e.Kind)
			}
			w.blamed(e, a.Broken)
		case DoDeregister:
			if len(a.Devices) == 0 {
				w.t.Fatalf("%s: nobody is signed out", e.Kind)
			}
			for _, d := range a.Devices {
				if !slices.ContainsFunc(w.s.Broken, func(b Broken) bool { return b.Progress == Lost && b.device() == d }) {
					w.t.Fatalf("%s: %+v is signed out, of %+v", e.Kind, d, w.s.Broken)
				}
			}
		case StartBan:
			if e.Kind != Turn && e.Kind != DeregisterDone || w.r.OnThreshold != Ban {
				w.t.Fatalf("%s: banned before it is clear that the user may be signed out", e.Kind)
			}
		default:
		}
	}
}

// blamed: whoever is given up has lost something, was told, and has had time.
func (w *witness) blamed(e Event, broken []Broken) {
	if len(broken) == 0 {
		w.t.Fatalf("%s: given up for nothing", e.Kind)
	}
	for _, b := range broken {
		told := b.Told || slices.ContainsFunc(w.s.Devices, func(d Device) bool { return d.Told && d.has(b) })
		patient := w.r.Patience == PatienceRefresh && !slices.ContainsFunc(w.s.Devices, func(d Device) bool { return w.heeds[d.ID+d.Contact] })
		if b.Progress != Lost || !told || patient && b.Due.After(e.At) {
			w.t.Fatalf("%s: given up for %+v", e.Kind, b)
		}
	}
}

// excused: it is no strike, and one episode has no more of them than of others.
func (w *witness) excused(e Event, a Action) {
	if w.s.Sent != w.sent {
		w.t.Fatalf("%s: the free MESSAGE %d was counted", e.Kind, a.Attempt)
	}
	if a.Attempt != w.s.Sent {
		w.t.Fatalf("%s: a free MESSAGE says %d, and %d stand", e.Kind, a.Attempt, w.s.Sent)
	}
	if a.Try > maxUnheard+2*w.r.Threshold {
		w.t.Fatalf("%s: try %d of an episode", e.Kind, a.Try)
	}
	if w.s.UnchargedSent < 1 || w.s.UnchargedSent > w.r.Threshold {
		w.t.Fatalf("%s: free MESSAGE %d of %d", e.Kind, w.s.UnchargedSent, w.r.Threshold)
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

// age follows what is forgotten by itself, and what is taken off the count because the
// MESSAGE was none.
func (w *witness) age(before State, e Event) {
	if ttl := w.r.StrikeTTL; ttl > 0 && before.Phase != Exhausted {
		var stand []time.Time
		for _, at := range before.Strikes {
			if e.At.Sub(at) < ttl || before.Phase != Idle && !at.Before(before.Started) {
				stand = append(stand, at)
			}
		}
		if len(stand) < len(before.Strikes) {
			w.sent = len(stand)
		}
	}
	none := e.Deaf || e.Unproven && e.Stumbled
	if e.Kind == MessageDone && before.Phase == Notifying && none && !before.Excused && w.sent > 0 {
		w.sent--
	}
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
		case StartBan, EndBan, Recovered, Abandoned, Returned:
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
	if w.inFlight != nil || a.Attempt > w.r.Threshold || !a.Excused && a.Attempt < 1 {
		w.t.Fatalf("MESSAGE %+v is repeated", a)
	}
	w.sent = w.s.Sent
	w.last = a
	return true
}

// comesToRest lets nothing happen any more but outcomes and the passing of time.
func (w *witness) comesToRest() {
	for range 200 {
		switch {
		case w.s.Forgettable(), w.counted():
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
			if w.s.Phase == Exhausted && !w.s.SignedOut && !w.s.StaysRegistered {
				w.happen(Event{Kind: DeregisterFailed, At: w.now.Add(time.Second)})
			}
		}
	}
	w.t.Fatalf("%s is never left: %+v", w.s.Phase, w.s)
}
