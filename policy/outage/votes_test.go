package outage

import (
	"testing"
	"time"
)

// Outcomes of before the first one that was told have their place in the window too.
func TestEpochsBeforeTheFirst(t *testing.T) {
	p := NewPaths(Limits{Window: 10 * time.Second})
	if got := p.epoch(dawn); got != 0 {
		t.Fatalf("the first epoch is %d", got)
	}
	var w window
	for i, at := range []time.Duration{0, -3 * time.Second, -9 * time.Second, -10 * time.Second, 500 * time.Millisecond} {
		w.pass(p.epoch(dawn.Add(at)), 1<<i)
	}
	for at, want := range map[time.Duration]int{
		0:                0b10111, // what came ten seconds before has left the window
		6 * time.Second:  0b10011,
		9 * time.Second:  0b10001,
		10 * time.Second: 0,
	} {
		sum := w.sum(p.epoch(dawn.Add(at)))
		if sum.passed != want {
			t.Errorf("after %s: %b, want %b", at, sum.passed, want)
		}
	}
}

// A window slides by tenths.
func TestTenths(t *testing.T) {
	p := NewPaths(Limits{Window: 10 * time.Second})
	p.epoch(dawn)
	var w window
	w.pass(p.epoch(dawn.Add(950*time.Millisecond)), 1)
	for at, want := range map[time.Duration]int{9990 * time.Millisecond: 1, 10 * time.Second: 0} {
		if sum := w.sum(p.epoch(dawn.Add(at))); sum.passed != want {
			t.Errorf("after %s: %d, want %d", at, sum.passed, want)
		}
	}
}

// A window of no length has its parts all the same.
func TestShortWindow(t *testing.T) {
	p := NewPaths(Limits{Window: 1})
	if a, b := p.epoch(dawn), p.epoch(dawn.Add(1)); b != a+1 {
		t.Errorf("epochs %d and %d", a, b)
	}
}

// More fail than on other days where they are more than a fifth of the ratio, half of
// MinWatchers at least.
func TestUneasy(t *testing.T) {
	l := Limits{Ratio: 0.5, MinWatchers: 10}.withDefaults()
	for _, c := range []struct {
		failed, passed int
		uneasy         bool
	}{
		{4, 0, false}, {5, 0, true}, {5, 45, false}, {5, 44, true}, {6, 54, false}, {6, 53, true},
	} {
		var v votes
		v.pass(0, c.passed)
		for _, user := range distinctUsers(c.failed) {
			try := Try{User: user, At: dawn, Sent: dawn.Add(-time.Second)}
			v.fail(0, &try)
			v.worry(&l, 0, &try)
		}
		if got := !v.since(dawn).IsZero(); got != c.uneasy {
			t.Errorf("%d fail, %d pass: uneasy %v", c.failed, c.passed, got)
		}
	}
}

// However many got through, their number has an estimate.
func TestFullCrowd(t *testing.T) {
	var all bitmap
	for i := range all {
		all[i] = ^uint64(0)
	}
	var c crowd
	c.add(&all, dawn)
	if got := c.size(dawn); got < 7000 || got > 7200 {
		t.Errorf("a full bitmap are %d users", got)
	}
}
