package policy

import (
	"slices"
	"testing"
	"time"
)

// TestMergeCases tells what two replicas make of what each of them knows.
func TestMergeCases(t *testing.T) {
	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	given := State{
		Phase: Exhausted, Sent: 3, Episode: 4, Tries: 2, DeregisterTried: 1, Alarm: true, AlarmAt: noon,
		Deadline: noon.Add(time.Minute), ForgetAt: noon.Add(time.Hour),
	}
	with := func(change func(*State)) State {
		s := given
		change(&s)
		return s
	}
	for _, c := range []struct {
		name string
		a, b State
		ok   func(State) bool
	}{
		{
			"what has left has left", given, with(func(s *State) { s.Transmitted = true }),
			func(s State) bool { return s.Transmitted },
		},
		{
			"but not what has left in another try", given, with(func(s *State) { s.Transmitted, s.DeregisterTried = true, 0 }),
			func(s State) bool { return !s.Transmitted },
		},
		{
			"nor for another MESSAGE", given, with(func(s *State) { s.Transmitted, s.Tries = true, 1 }),
			func(s State) bool { return !s.Transmitted },
		},
		{
			"nor in an episode before", given, with(func(s *State) { s.Transmitted, s.Episode = true, 3 }),
			func(s State) bool { return !s.Transmitted },
		},
		{
			"nor in another phase", given, with(func(s *State) { s.Transmitted, s.Phase = true, Notifying }),
			func(s State) bool { return !s.Transmitted },
		},
		{
			"signed out is signed out", given, with(func(s *State) { s.SignedOut, s.Transmitted = true, true }),
			func(s State) bool { return s.SignedOut && !s.StaysRegistered && !s.Transmitted },
		},
		{
			"unless there was a registration since", with(func(s *State) { s.StaysRegistered, s.Transmitted = true, true }), with(func(s *State) { s.SignedOut = true }),
			func(s State) bool { return !s.SignedOut && s.StaysRegistered },
		},
		{
			"of an earlier try it says nothing", with(func(s *State) { s.DeregisterTried = 2 }), with(func(s *State) { s.StaysRegistered, s.Transmitted = true, true }),
			func(s State) bool { return s.StaysRegistered && !s.SignedOut },
		},
		{
			"kept is kept", given, with(func(s *State) { s.StaysRegistered = true }),
			func(s State) bool { return s.StaysRegistered && s.Deadline.Equal(s.ForgetAt) },
		},
		{
			"the longer ban, its alarm, and no forgetting before it",
			with(func(s *State) { s.BannedUntil = noon.Add(time.Minute) }),
			with(func(s *State) {
				s.BannedUntil, s.ForgetAt = noon.Add(2*time.Hour), noon.Add(2*time.Hour)
				s.BanAlarm, s.BanAlarmAt = true, noon
			}),
			func(s State) bool {
				return s.BannedUntil.Equal(noon.Add(2*time.Hour)) && s.ForgetAt.Equal(s.BannedUntil) && s.BanAlarm && s.BanAlarmAt.Equal(noon) &&
					s.Deadline.Equal(noon.Add(time.Minute))
			},
		},
		{
			"an alarm of a de-REGISTER that has been done since is over", with(func(s *State) { s.SignedOut = true }),
			with(func(s *State) { s.DeregisterAlarm = true }), func(s State) bool { return !s.DeregisterAlarm },
		},
		{
			"who is Idle has seen the end of that episode",
			State{Phase: Idle, Episode: 4, Sent: 1},
			State{Phase: Proving, Episode: 4, Sent: 2, Deadline: noon},
			func(s State) bool {
				return s.Phase == Idle && s.Sent == 2 && s.ForgetAt.Equal(noon.Add(24*time.Hour)) && s.Deadline.Equal(s.ForgetAt)
			},
		},
		{
			"a later episode is news",
			State{Phase: Idle, Episode: 4},
			State{Phase: Gathering, Episode: 5},
			func(s State) bool { return s.Phase == Gathering && s.Episode == 5 },
		},
		{
			"of the same episode, the later phase",
			State{Phase: Waiting, Episode: 4, Tries: 1},
			State{Phase: Proving, Episode: 4, Tries: 1},
			func(s State) bool { return s.Phase == Proving && s.ForgetAt.IsZero() },
		},
		{
			"of nobody there is nothing to forget",
			State{Episode: 2},
			State{Episode: 2},
			func(s State) bool { return s.Forgettable() && s.Deadline.IsZero() && s.ForgetAt.IsZero() },
		},
		{
			"a count has its strikes",
			State{Phase: Waiting, Episode: 5, Sent: 1, Strikes: []time.Time{noon}},
			State{Phase: Waiting, Episode: 4, Sent: 2, Strikes: []time.Time{noon, noon.Add(time.Hour)}},
			func(s State) bool { return s.Sent == 2 && len(s.Strikes) == 2 && s.Episode == 5 },
		},
		{
			"what is known of devices is known",
			State{Devices: []Device{{ID: "B", Told: true}, {ID: "A"}}},
			State{Devices: []Device{{ID: "A", Heeds: true}, {ID: "B", Contact: "sip:b"}, {ID: "B"}}},
			func(s State) bool {
				return slices.Equal(s.Devices, []Device{{ID: "A", Heeds: true}, {ID: "B", Told: true}, {ID: "B", Contact: "sip:b"}})
			},
		},
		{
			"told was who was told in this count",
			State{Recounted: noon},
			State{Sent: 1, Strikes: []time.Time{noon.Add(-time.Hour)}, Devices: []Device{{ID: "A", Told: true, Heeds: true}, {ID: "B", Told: true}}},
			func(s State) bool {
				return s.Sent == 0 && s.Strikes == nil && slices.Equal(s.Devices, []Device{{ID: "A", Heeds: true}})
			},
		},
		{
			"a strike within the skew of the clocks is of before",
			State{Recounted: noon},
			State{Sent: 2, Strikes: []time.Time{noon.Add(time.Minute - 1), noon.Add(time.Minute)}},
			func(s State) bool { return s.Sent == 1 && s.Recounted.Equal(noon) },
		},
		{
			"an alarm about two devices", with(func(s *State) { s.Gone = []Device{{ID: "A"}} }), with(func(s *State) { s.Gone = []Device{{ID: "B"}} }),
			func(s State) bool { return len(s.Gone) == 2 },
		},
		{
			"an alarm about the user", given, with(func(s *State) { s.Gone = []Device{{ID: "B"}} }),
			func(s State) bool { return len(s.Gone) == 0 },
		},
		{
			"an alarm that one knows of",
			State{Episode: 3, Phase: Idle, Sent: 1},
			with(func(s *State) { s.Gone = []Device{{ID: "B"}} }),
			func(s State) bool { return len(s.Gone) == 1 && s.AlarmAt.Equal(noon) },
		},
	} {
		for _, m := range []State{Merge(standard(), c.a, c.b), Merge(standard(), c.b, c.a)} {
			if !c.ok(m) {
				t.Errorf("%s: %+v", c.name, m)
			}
		}
	}
}

// Of sixteen devices something is remembered.
func TestDevicesAreBounded(t *testing.T) {
	var a, b State
	for i := range 16 {
		a.Devices = append(a.Devices, Device{ID: string(rune('a' + i))})
		b.Devices = append(b.Devices, Device{ID: string(rune('A' + i))})
	}
	if m := Merge(standard(), a, b); len(m.Devices) != 16 {
		t.Errorf("%d devices are remembered", len(m.Devices))
	}
	m := newMachine(Rules{}, a, Event{})
	m.learn(Broken{Device: "new"}, func(d *Device) { d.Heeds = true })
	if n := len(m.s.Devices); n != 16 || m.s.Devices[n-1].ID != "new" || m.s.Devices[0].ID != "b" || a.Devices[0].ID != "a" {
		t.Errorf("%v", m.s.Devices)
	}
	m.learn(Broken{Device: "b"}, func(d *Device) { d.Told = true })
	if n := len(m.s.Devices); n != 16 || m.s.Devices[n-1] != (Device{ID: "b", Told: true}) || m.s.Devices[0].ID != "c" {
		t.Errorf("%v", m.s.Devices)
	}
}

func TestSameDevice(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b Broken
		want bool
	}{
		{"one identity, moved", Broken{Device: "x", Contact: "sip:a@1"}, Broken{Device: "x", Contact: "sip:a@2"}, true},
		{"two behind one address", Broken{Device: "x", Contact: "sip:a@1"}, Broken{Device: "y", Contact: "sip:a@1"}, false},
		{"an identity that only one has shown", Broken{Device: "x", Contact: "sip:a@1"}, Broken{Contact: "sips:a@1:5060;ob"}, true},
		{"another user part", Broken{Contact: "sip:a@1"}, Broken{Contact: "sip:b@1"}, false},
		{"another port", Broken{Contact: "sip:a@1"}, Broken{Contact: "sip:a@1:5070"}, false},
		{"no user part", Broken{Contact: "SIP:Host;x=1"}, Broken{Contact: "sip:host?y=1"}, true},
		{"a user part with a semicolon", Broken{Contact: "sip:a;b@1"}, Broken{Contact: "sip:a@1"}, false},
		{"an opaque URI", Broken{Contact: "tel:1;x"}, Broken{Contact: "tel:1"}, true},
		{"no host at all", Broken{Contact: "sip:a@;x"}, Broken{Contact: "sip:a@"}, true},
		{"nothing known", Broken{Device: "x"}, Broken{}, true},
		{"nothing to compare", Broken{Device: "x"}, Broken{Contact: "sip:a@1"}, true},
	} {
		if c.a.sameDevice(c.b) != c.want || c.b.sameDevice(c.a) != c.want {
			t.Errorf("%s: %t expected", c.name, c.want)
		}
	}
}
