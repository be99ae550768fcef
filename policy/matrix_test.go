package policy

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var (
	broke   = Broken{Event: "presence", Resource: "bob", CallID: "call-1", Cause: "408 Request Timeout", Device: "A"}
	renewed = Broken{Event: "presence", Resource: "bob", CallID: "call-2", Cause: "404 Not Found", Device: "A"}
	another = Broken{Event: "presence", Resource: "eve", CallID: "call-9", Cause: "404 Not Found", Device: "A"}
	others  = Broken{Event: "presence", Resource: "bob", CallID: "call-3", Cause: "404 Not Found", Device: "B"}
)

// situation is a state that a user can be in, an hour after dawn.
type situation struct {
	name  string
	state State
}

func situations() []situation {
	told, back, proven := broke, broke, broke
	told.Told = true
	back.Told, back.Progress, back.Renewed = true, Resubscribed, renewed.CallID
	proven.Told, proven.Progress, proven.Renewed = true, Proven, renewed.CallID
	now := dawn.Add(time.Hour)
	running := State{
		Episode: 7, Started: now.Add(-time.Minute), Deadline: now, Sent: 1, Tries: 1, Broken: []Broken{told},
		Strikes: []time.Time{now.Add(-time.Minute)},
	}
	with := func(s State, change func(*State)) State {
		s.Broken = append([]Broken(nil), s.Broken...)
		change(&s)
		return s
	}
	exhausted := with(running, func(s *State) {
		s.Phase, s.Sent, s.Alarm, s.Gone = Exhausted, 3, true, []Device{{ID: "A"}}
		s.ForgetAt = now.Add(time.Hour)
	})
	return []situation{
		{"idle, nothing known", State{}},
		{"idle, the count is full", State{Sent: 3, Episode: 7, Deadline: now, ForgetAt: now}},
		{"idle, alarm raised", State{Episode: 7, Alarm: true, Deadline: now, ForgetAt: now}},
		{"idle, one device was given up", State{
			Episode: 7, Alarm: true, Gone: []Device{{ID: "A"}}, Devices: []Device{{ID: "B", Heeds: true}},
			Recounted: now.Add(-time.Hour), Deadline: now, ForgetAt: now.Add(time.Minute),
		}},
		{"idle, a strike has had its time", State{
			Sent: 2, Strikes: []time.Time{now.Add(-24 * time.Hour), now.Add(-time.Hour)}, Episode: 7, Deadline: now,
			Devices: []Device{{ID: "A", Told: true}}, ForgetAt: now.Add(time.Hour),
		}},
		{"gathering", with(running, func(s *State) {
			s.Phase, s.Sent, s.Tries, s.Broken[0].Told = Gathering, 0, 0, false
		})},
		{"gathering, an older MESSAGE in flight", with(running, func(s *State) {
			s.Phase, s.Tries, s.Broken[0].Told = Gathering, 0, false
			s.InFlight, s.Started = true, now.Add(-time.Second)
		})},
		{"gathering, the count is full", with(running, func(s *State) {
			s.Phase, s.Sent, s.Broken[0].Told = Gathering, 3, false
		})},
		{"notifying", with(running, func(s *State) { s.Phase, s.InFlight = Notifying, true })},
		{"notifying, it has left", with(running, func(s *State) { s.Phase, s.InFlight, s.Transmitted = Notifying, true, true })},
		{"notifying, all proven meanwhile", with(running, func(s *State) {
			s.Phase, s.InFlight, s.Broken[0] = Notifying, true, proven
		})},
		{"waiting", with(running, func(s *State) { s.Phase = Waiting })},
		{"waiting, the count is full", with(running, func(s *State) { s.Phase, s.Sent = Waiting, 3 })},
		{"waiting, the count is full, the refresh is to come", with(running, func(s *State) {
			s.Phase, s.Sent, s.Broken[0].Due = Waiting, 3, now.Add(time.Hour)
		})},
		{"waiting, the count is full, the refresh is to come, it heeds", with(running, func(s *State) {
			s.Phase, s.Sent, s.Broken[0].Due, s.Devices = Waiting, 3, now.Add(time.Hour), []Device{{ID: "A", Heeds: true}}
		})},
		{"waiting, the count is full, not told", with(running, func(s *State) {
			s.Phase, s.Sent, s.Broken[0].Told = Waiting, 3, false
		})},
		{"waiting, it cannot take the MESSAGE", with(running, func(s *State) {
			s.Phase, s.Sent, s.Deaf, s.Broken[0].Due = Waiting, 0, true, now.Add(time.Hour)
		})},
		{"waiting, excused, free ones are left", with(running, func(s *State) {
			s.Phase, s.Sent, s.Excused, s.UnchargedSent = Waiting, 3, true, 1
		})},
		{"waiting, excused, the MESSAGE did not arrive", with(running, func(s *State) {
			s.Phase, s.Sent, s.Excused, s.UnchargedSent = Waiting, 0, true, 0
		})},
		{"waiting, excused, none is left", with(running, func(s *State) {
			s.Phase, s.Sent, s.Excused, s.UnchargedSent = Waiting, 0, true, 3
		})},
		{"proving", with(running, func(s *State) { s.Phase, s.Broken[0] = Proving, back })},
		{"proving, an older MESSAGE in flight", with(running, func(s *State) {
			s.Phase, s.Broken[0], s.InFlight = Proving, back, true
		})},
		{"proving, the count is full", with(running, func(s *State) { s.Phase, s.Sent, s.Broken[0] = Proving, 3, back })},
		{"exhausted, being signed out", exhausted},
		{"exhausted, being signed out, it has left", with(exhausted, func(s *State) { s.Transmitted = true })},
		{"exhausted, being signed out, it has left, registered since", with(exhausted, func(s *State) {
			s.Transmitted, s.StaysRegistered, s.Deadline = true, true, s.ForgetAt
		})},
		{"exhausted, a de-REGISTER failed", with(exhausted, func(s *State) {
			s.DeregisterTried, s.DeregisterAlarm, s.Deadline = 1, true, now.Add(5*time.Second)
		})},
		{"exhausted, being signed out, strikes of a minute", with(exhausted, func(s *State) {
			s.Started = now.Add(-time.Hour)
			s.Strikes = []time.Time{now.Add(-2 * time.Minute), now.Add(-time.Minute), now.Add(-time.Second)}
		})},
		{"exhausted, signed out", with(exhausted, func(s *State) { s.SignedOut = true })},
		{"exhausted, kept", with(exhausted, func(s *State) { s.StaysRegistered = true })},
		{"exhausted, back and not proven", with(exhausted, func(s *State) { s.Broken[0] = back })},
		{"exhausted, kept, banned", with(exhausted, func(s *State) { s.StaysRegistered, s.BannedUntil = true, now.Add(time.Minute) })},
		{"exhausted, being signed out, the ban is over", with(exhausted, func(s *State) {
			s.BanAlarm, s.BannedUntil, s.Transmitted = true, now, true
		})},
		{"exhausted, its time is over, a MESSAGE in flight", with(exhausted, func(s *State) {
			s.StaysRegistered, s.InFlight, s.ForgetAt, s.Devices = true, true, now, []Device{{ID: "A", Heeds: true}}
		})},
		{"exhausted, two tries failed", with(exhausted, func(s *State) { s.DeregisterTried, s.DeregisterAlarm = 2, true })},
		{"exhausted, banned", with(exhausted, func(s *State) {
			s.SignedOut, s.BanAlarm = true, true
			s.BannedUntil = now.Add(time.Minute)
		})},
		{"exhausted, the ban is over", with(exhausted, func(s *State) {
			s.SignedOut, s.BanAlarm = true, true
			s.BannedUntil = now
		})},
	}
}

// TestMatrix visits every pair of situation and event. The expectation stands in
// testdata/matrix.golden; a dot there means that nothing changes.
func TestMatrix(t *testing.T) {
	const file = "testdata/matrix.golden"
	var out strings.Builder
	visited := make(map[[2]uint8]bool)
	for _, in := range situations() {
		fmt.Fprintf(&out, "%s\n", in.name)
		for k := NotifyFailed; k <= Refreshed; k++ {
			visited[[2]uint8{uint8(in.state.Phase), uint8(k)}] = true
			for _, e := range variants(in.state, k) {
				fmt.Fprintf(&out, "  %-40s %s\n", e.what, outcome(in.state, e.Event))
			}
		}
	}
	if want := int(Exhausted+1) * int(Refreshed+1); len(visited) != want {
		t.Errorf("visited %d pairs of phase and event, want %d", len(visited), want)
	}
	want, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	compare(t, file, out.String(), string(want))
}

type variant struct {
	what string
	Event
}

// variants are the forms in which an event of this kind can come.
func variants(s State, k EventKind) []variant {
	e := Event{Kind: k, At: dawn.Add(time.Hour), Episode: s.Episode, Try: s.Tries}
	with := func(what string, change func(*Event)) variant {
		v := e
		change(&v)
		return variant{k.String() + what, v}
	}
	switch k {
	case NotifyFailed, NotifyOK, LateOK, Subscribed, Ended:
		v := []variant{
			with(", the broken dialog", func(e *Event) { e.Sub = broke }),
			with(", a new dialog", func(e *Event) { e.Sub = renewed }),
			with(", another one", func(e *Event) { e.Sub = another }),
			with(", another device", func(e *Event) { e.Sub = others }),
		}
		if k == NotifyOK || k == LateOK {
			v = append(v, with(", the broken dialog, alive", func(e *Event) { e.Sub, e.Alive = broke, true }))
		}
		if k == NotifyFailed {
			v = append(v,
				with(", pointless", func(e *Event) { e.Sub, e.Pointless = renewed, true }),
				with(", excused", func(e *Event) { e.Sub, e.Excused = renewed, true }),
				with(", unproven", func(e *Event) { e.Sub, e.Unproven = renewed, true }))
		}
		return v
	case Excuse:
		return []variant{
			with(", for two minutes", func(e *Event) { e.Since = e.At.Add(-2 * time.Minute) }),
			with(", for ten seconds", func(e *Event) { e.Since = e.At.Add(-10 * time.Second) }),
		}
	case MessageDone:
		return []variant{
			with("", func(*Event) {}),
			with(", of an older one", func(e *Event) { e.Episode-- }),
			with(", it did not get that far", func(e *Event) { e.Excused = true }),
			with(", it cannot take it", func(e *Event) { e.Deaf = true }),
			with(", stumbled", func(e *Event) { e.Undelivered, e.Stumbled = true, true }),
			with(", stumbled, unproven", func(e *Event) { e.Undelivered, e.Stumbled, e.Unproven = true, true, true }),
		}
	case DeregisterDone:
		return []variant{
			with("", func(*Event) {}),
			with(", others stay", func(e *Event) { e.Others = true }),
		}
	case Refreshed:
		return []variant{
			with("", func(*Event) {}),
			with(" by another device", func(e *Event) { e.Sub = others }),
		}
	case Turn:
		return []variant{
			with(" of the MESSAGE", func(*Event) {}),
			with(" of the first de-REGISTER", func(e *Event) { e.Try = 1 }),
			with(" of the second de-REGISTER", func(e *Event) { e.Try = 2 }),
			with(", of an older one", func(e *Event) { e.Episode-- }),
		}
	case Tick:
		return []variant{
			with("", func(*Event) {}),
			with(", overtaken", func(e *Event) { e.At = e.At.Add(-time.Millisecond) }),
			with(", unproven", func(e *Event) { e.Unproven = true }),
		}
	default:
		return []variant{with("", func(*Event) {})}
	}
}

// outcome tells in a line what the event does.
func outcome(s State, e Event) string {
	next, actions := Decide(standard(), s, e)
	if next.Equal(s) && len(actions) == 0 {
		return "."
	}
	words := []string{showState(next)}
	for _, a := range actions {
		a.Broken = nil // the scripts show what is named
		words = append(words, strings.TrimSuffix(showAction(a), ":"))
	}
	return strings.Join(words, " -> ")
}
