package policy

import (
	"testing"
	"time"
)

// That a count began anew is remembered where it had strikes, and where there are other
// replicas that could bring them back.
func TestRecounted(t *testing.T) {
	for _, c := range []struct {
		sent         int
		alone, wants bool
	}{
		{0, false, false}, {1, false, true}, {2, false, true}, {0, true, false}, {1, true, false},
	} {
		r := standard()
		if c.alone {
			r.Apart = 0
		}
		s := State{Sent: c.sent}
		for range c.sent {
			s.Strikes = append(s.Strikes, dawn)
		}
		s, _ = Decide(r, s, Event{Kind: Registered, At: dawn})
		if got := !s.Recounted.IsZero(); got != c.wants || s.Sent != 0 {
			t.Errorf("%+v: remembered %v, sent %d", c, got, s.Sent)
		}
		if !c.wants && !s.Forgettable() {
			t.Errorf("%+v: %+v is kept", c, s)
		}
	}
}

// The times of the last sixteen strikes are kept, those of older ones only counted.
func TestStrikesAreBounded(t *testing.T) {
	m := newMachine(standard(), State{}, Event{})
	for i := range 20 {
		m.e.At = dawn.Add(time.Duration(i) * time.Second)
		m.charge()
	}
	if n := len(m.s.Strikes); m.s.Sent != 20 || n != 16 || !m.s.Strikes[0].Equal(dawn.Add(4*time.Second)) {
		t.Errorf("sent %d, the times of %d, from %s on", m.s.Sent, n, m.s.Strikes[0])
	}
}
