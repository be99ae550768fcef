package policy

import (
	"encoding/json"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

func TestReunion(t *testing.T) { rapid.Check(t, reunion) }

// reunion lets two replicas begin with the same state of a user, and see different
// things while they are apart. What they make of it together loses nothing, is the
// same whoever merges first, and comes to rest.
func reunion(t *rapid.T) {
	one := &witness{t: t, now: dawn, raised: make(map[string]bool), left: make(map[departure]bool), heeds: make(map[string]bool), r: drawRules(t)}
	for range rapid.IntRange(0, 40).Draw(t, "together") {
		one.happen(one.draw())
	}
	other := *one
	other.raised, other.left = maps.Clone(one.raised), maps.Clone(one.left)
	for _, w := range []*witness{one, &other} {
		for range rapid.IntRange(0, 20).Draw(t, "apart") {
			w.happen(w.draw())
		}
	}
	a, b := one.s, other.s
	m := Merge(one.r, a, b)
	nothingLost(t, a, b, m)
	for name, again := range map[string]State{
		"the other way round": Merge(one.r, b, a), "with itself": Merge(one.r, m, m), "with the one": Merge(one.r, m, a), "with the other": Merge(one.r, b, m),
	} {
		if !again.Equal(m) && !tied(a, b) {
			t.Fatalf("of\n%+v\n%+v\nmerging makes\n%+v\nand %s\n%+v", a, b, m, name, again)
		}
	}
	w := one
	if anew := latest(a.Recounted, b.Recounted); further(b.countedSince(anew), a.countedSince(anew)) {
		w = &other
	}
	w.s, w.sent, w.inFlight = stored(t, m), m.Sent, nil
	w.now = latest(one.now, other.now)
	t.Logf("a %+v\nb %+v\nm %+v", a, b, m)
	w.raised = map[string]bool{AlarmExhausted: m.Alarm, AlarmBanned: m.BanAlarm, AlarmDeregisterFailed: m.DeregisterAlarm}
	if w.s.Phase != Idle && w.s.Deadline.IsZero() {
		t.Fatalf("nobody waits for the end of %+v", w.s)
	}
	w.comesToRest()
}

// tied: both are as far as each other, by different ways; either may be believed.
func tied(a, b State) bool {
	anew := latest(a.Recounted, b.Recounted)
	a, b = a.countedSince(anew), b.countedSince(anew)
	return !further(a, b) && !further(b, a)
}

func nothingLost(t *rapid.T, a, b, m State) {
	switch {
	case m.Sent != stand(a, b):
		t.Fatalf("counts %d and %d became %d", a.Sent, b.Sent, m.Sent)
	case m.InFlight != (a.InFlight || b.InFlight):
		t.Fatalf("a MESSAGE in flight was forgotten: %+v", m)
	case m.BannedUntil != latest(a.BannedUntil, b.BannedUntil):
		t.Fatalf("bans until %s and %s became %s", a.BannedUntil, b.BannedUntil, m.BannedUntil)
	case m.Alarm != (a.Alarm || b.Alarm), m.BanAlarm != (a.BanAlarm || b.BanAlarm):
		t.Fatalf("alarms of\n%+v\n%+v\nbecame\n%+v", a, b, m)
	case m.DeregisterAlarm != (a.DeregisterAlarm || b.DeregisterAlarm) && !m.SignedOut:
		t.Fatalf("the alarm of a de-REGISTER was lost:\n%+v\n%+v\n%+v", a, b, m)
	case (a.Phase == Exhausted || b.Phase == Exhausted) && m.Phase != Exhausted:
		t.Fatalf("somebody gave up, and it was forgotten: %+v", m)
	}
}

// stored is what a store gives back of a state.
func stored(t *rapid.T, s State) (back State) {
	b, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil || !back.Equal(s) {
		t.Fatalf("%+v became %+v: %v", s, back, err)
	}
	return back
}
