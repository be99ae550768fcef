package outage_test

import (
	"testing"
	"time"

	"rewatch/policy/outage"
)

// short is a deadline of NOTIFYs that is shorter than the window.
const short = 2 * time.Second

// busy lets so many NOTIFYs pass in each tenth of a second, until d has passed.
func (s *scene) busy(d time.Duration, n int) {
	for end := s.now.Add(d); s.now.Before(end); s.pass(100 * time.Millisecond) {
		s.ok("a", n)
	}
}

// When a core that was busy falls silent, the first NOTIFYs that fail tell of it,
// though the window is full of what passed before.
func TestSilenceAfterMuchHasPassed(t *testing.T) {
	s := newScene(outage.Rules{})
	s.busy(10*time.Second, 50)
	s.pass(short)
	s.fail("a", 19, short)
	s.expect(t, "")
	s.fail("a", 20, short)
	s.expect(t, "[a closed->held silence]")
	if h := s.Holds()[0]; h.Failed != 20 || h.Total != 20 || h.Since.After(s.now.Add(-short)) {
		t.Errorf("hold %+v", h)
	}
	s.ok("a", 1)
	s.tick(time.Second)
	s.expect(t, "[a held->probing notify][a probing->closed trial-passed]")
}

// It is no silence if anything gets through, if all of it is one phone's, or if they
// are refused.
func TestNoSilence(t *testing.T) {
	for name, fail := range map[string]func(*scene){
		"others get theirs": func(s *scene) { s.ok("a", 1); s.pass(100 * time.Millisecond); s.fail("a", 30, short) },
		"few watchers":      func(s *scene) { s.fail("a", 9, short); s.fail("a", 9, short); s.fail("a", 9, short) },
		"refused at once":   func(s *scene) { s.fail("a", 30, 10*time.Millisecond) },
		"long apart":        func(s *scene) { s.fail("a", 15, short); s.pass(11 * time.Second); s.fail("a", 15, short) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(outage.Rules{})
			s.busy(10*time.Second, 50)
			s.pass(short)
			fail(s)
			s.expect(t, "")
		})
	}
}

// When some have failed and nobody is heard, there may be an outage in a moment.
func TestHushed(t *testing.T) {
	s := newScene(outage.Rules{})
	s.busy(10*time.Second, 50)
	s.pass(short)
	s.fail("a", 4, short)
	if s.Hushed(s.now, "a") {
		t.Error("hushed by four")
	}
	s.fail("a", 5, short)
	if !s.Hushed(s.now, "a") || !s.Hushed(s.now, "b") {
		t.Error("not hushed by five, over their hop and over all")
	}
	s.ok("b", 1)
	if !s.Hushed(s.now, "a") || s.Hushed(s.now, "b") {
		t.Error("what gets through over another hop says something of that alone")
	}
	s.ok("a", 1)
	if s.Hushed(s.now, "a") {
		t.Error("hushed though something gets through")
	}
	s.fail("a", 5, short/1000)
	if s.Hushed(s.now, "a") {
		t.Error("hushed by refusals")
	}
	s.pass(short)
	s.fail("a", 5, short/2)
	s.pass(11 * time.Second)
	if s.Hushed(s.now, "a") {
		t.Error("hushed by what is long ago")
	}
}

// What one dead hop fails is no silence of all.
func TestSilenceOfOneHop(t *testing.T) {
	s := newScene(outage.Rules{})
	s.ok("dead", 500)
	s.busy(5*time.Second, 50)
	s.fail("dead", 30, short)
	s.expect(t, "[dead closed->held silence]")
	if s.Held("a") {
		t.Error("a is held")
	}
}

// Where only a hop that cannot be reached is held, silence is none of its business.
func TestSilenceIsSwitchedOffWithTheRatio(t *testing.T) {
	s := newScene(outage.Rules{Ratio: 1})
	s.fail("a", 100, short)
	s.expect(t, "")
}
