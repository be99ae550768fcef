package policy

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// stand is how many strikes of two replicas count: those of the one that knows more,
// but none of before a new count that the other has begun.
func stand(a, b State) int {
	n := 0
	for _, p := range [][2]State{{a, b}, {b, a}} {
		s, anew := p[0], p[1].Recounted
		if !s.Recounted.Before(anew) {
			n = max(n, s.Sent)
			continue
		}
		since := 0
		for _, at := range s.Strikes {
			if at.Sub(anew) >= time.Minute {
				since++
			}
		}
		n = max(n, since)
	}
	return n
}

// The order of merging makes no difference to what counts, and merging again adds
// nothing.
func TestMerge(t *testing.T) {
	began := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		if n := rapid.IntRange(0, 5).Draw(t, "minutes"); n > 0 {
			return began.Add(time.Duration(n) * time.Minute)
		}
		return time.Time{}
	})
	state := rapid.Custom(func(t *rapid.T) State {
		s := State{
			Phase: Phase(rapid.IntRange(0, int(Exhausted)).Draw(t, "phase")), Sent: rapid.IntRange(0, 3).Draw(t, "sent"),
			Episode: rapid.Uint64Range(0, 3).Draw(t, "episode"), Deadline: instant.Draw(t, "deadline"),
		}
		if s.Alarm = rapid.Bool().Draw(t, "alarm"); s.Alarm {
			s.AlarmAt = began.Add(time.Duration(rapid.IntRange(1, 5).Draw(t, "at")) * time.Second)
		}
		if s.Phase == Exhausted {
			s.BannedUntil, s.ForgetAt = instant.Draw(t, "ban"), instant.Draw(t, "forget")
			s.SignedOut = rapid.Bool().Draw(t, "out")
			s.StaysRegistered = !s.SignedOut && rapid.Bool().Draw(t, "kept")
			s.Transmitted = !s.SignedOut && rapid.Bool().Draw(t, "left")
		}
		s.InFlight = rapid.Bool().Draw(t, "in flight")
		s.Recounted = instant.Draw(t, "recounted")
		for i := range s.Sent {
			s.Strikes = append(s.Strikes, began.Add(time.Duration(i)*time.Minute))
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := state.Draw(t, "a"), state.Draw(t, "b")
		ab, ba := Merge(standard(), a, b), Merge(standard(), b, a)
		switch {
		case ab.Sent != stand(a, b) || ba.Sent != ab.Sent:
			t.Fatalf("counts %d and %d became %d", a.Sent, b.Sent, ab.Sent)
		case ab.InFlight != (a.InFlight || b.InFlight) || ba.InFlight != ab.InFlight:
			t.Fatalf("in flight %t and %t became %t", a.InFlight, b.InFlight, ab.InFlight)
		case ab.BannedUntil.Before(a.BannedUntil) || ab.BannedUntil.Before(b.BannedUntil) || !ab.BannedUntil.Equal(ba.BannedUntil):
			t.Fatalf("bans until %s and %s became %s", a.BannedUntil, b.BannedUntil, ab.BannedUntil)
		case ab.Alarm != (a.Alarm || b.Alarm) || !ab.AlarmAt.Equal(ba.AlarmAt):
			t.Fatalf("an alarm was lost or doubled: %+v", ab)
		case (a.Phase == Exhausted || b.Phase == Exhausted) && ab.Phase != Exhausted:
			t.Fatalf("somebody gave up, and it was forgotten: %+v", ab)
		case ab.SignedOut && (a.overtaken() && !further(b, a) || b.overtaken() && !further(a, b)):
			t.Fatalf("the user has registered since, and it was forgotten: %+v", ab)
		}
		for _, again := range []State{Merge(standard(), ab, b), Merge(standard(), ab, ab)} {
			again.Deadline = ab.Deadline // it follows from the others in real states
			if !again.Equal(ab) {
				t.Fatalf("merging again makes %+v of %+v", again, ab)
			}
		}
	})
}
