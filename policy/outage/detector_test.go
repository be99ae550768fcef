package outage_test

import (
	"fmt"
	"testing"
	"time"

	"rewatch/policy/outage"
)

var dawn = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

// scene drives a Detector and keeps what it said.
type scene struct {
	*outage.Detector
	now     time.Time
	changes []outage.Change
	probes  []outage.Probe
}

func newScene(r outage.Rules) *scene { return &scene{Detector: outage.New(r), now: dawn} }

func (s *scene) pass(d time.Duration) { s.now = s.now.Add(d) }

// tick delivers what is due until d has passed.
func (s *scene) tick(d time.Duration) {
	end := s.now.Add(d)
	for {
		next := s.Next()
		if next.IsZero() || next.After(end) {
			s.now = end
			return
		}
		s.now = next
		probes, changes := s.Tick(next)
		s.probes = append(s.probes, probes...)
		s.changes = append(s.changes, changes...)
	}
}

func (s *scene) ok(hop string, n int) {
	s.changes = append(s.changes, s.Passed(s.now, hop, n)...)
}

// fail lets NOTIFYs to n different watchers fail that were sent a while ago.
func (s *scene) fail(hop string, n int, ago time.Duration) {
	for i := range n {
		s.changes = append(s.changes, s.Observe(outage.Outcome{
			At: s.now, Sent: s.now.Add(-ago), Hop: hop, Watcher: uint64(i), //nolint:gosec // not negative
		})...)
	}
}

// told are the changes since the last time, in short.
func (s *scene) told() string {
	text := ""
	for _, c := range s.changes {
		text += fmt.Sprintf("[%s %s->%s %s]", c.Scope, c.From, c.To, c.Reason)
	}
	s.changes = nil
	return text
}

func (s *scene) expect(t *testing.T, want string) {
	t.Helper()
	if got := s.told(); got != want {
		t.Fatalf("at %s: got %q, want %q", s.now.Sub(dawn), got, want)
	}
}

const timeout = 28 * time.Second

func TestAnOutageFromBeginToEnd(t *testing.T) {
	s := newScene(outage.Rules{})
	s.ok("a", 5000)
	s.pass(timeout)
	s.fail("a", 19, timeout)
	s.expect(t, "")
	s.fail("a", 20, timeout)
	s.expect(t, "[a closed->held ratio]")
	if h := s.Holds(); len(h) != 1 || !h[0].Since.Equal(s.now.Add(-timeout)) || h[0].Failed != 20 || h[0].Total != 20 {
		t.Errorf("holds %+v", h)
	}
	if !s.Held("a") || s.Held("b") {
		t.Error("a is held, b is not")
	}
	s.tick(30 * time.Second)
	if n := len(s.probes); n < 14 || n > 22 {
		t.Errorf("%d probes in 30s", n)
	}
	s.ok("a", 1)
	s.expect(t, "[a held->probing notify]")
	s.fail("a", 50, timeout) // late ones
	s.tick(time.Second)
	s.expect(t, "[a probing->closed trial-passed]")
	if s.Held("a") || !s.Next().IsZero() {
		t.Error("held on")
	}
	s.pass(20 * time.Second)
	if !s.Excused("a", s.now.Add(-timeout)) || s.Excused("a", s.now.Add(-time.Second)) || s.Excused("b", s.now.Add(-timeout)) {
		t.Error("what was sent before the release, over that hop, is excused, and nothing else")
	}
	s.fail("a", 50, timeout)
	s.expect(t, "")
}

func TestProbesAloneRelease(t *testing.T) {
	s := newScene(outage.Rules{})
	s.fail("a", 20, timeout)
	s.tick(time.Minute)
	if p := s.probes[0]; p.Scope != "a" || p.Hop != "a" {
		t.Errorf("probe %+v", p)
	}
	s.changes = append(s.changes, s.Probed(s.now, "a", false)...)
	s.expect(t, "[a closed->held ratio]")
	s.changes = append(s.changes, s.Probed(s.now, "a", true)...)
	s.tick(time.Second)
	s.expect(t, "[a held->probing probe][a probing->closed trial-passed]")
}

func TestATrialFails(t *testing.T) {
	s := newScene(outage.Rules{})
	s.fail("a", 20, timeout)
	s.pass(time.Second)
	s.ok("a", 1)
	s.pass(time.Second / 2)
	s.fail("a", 2, 0) // answered 503 at once
	s.tick(time.Second / 2)
	s.expect(t, "[a closed->held ratio][a held->probing notify][a probing->held trial-failed]")
}

// A hop that answers OPTIONS while NOTIFYs fail is released once, then held on for
// longer and longer, and all that is of one outage.
func TestARelapse(t *testing.T) {
	s := newScene(outage.Rules{})
	s.fail("a", 20, timeout)
	since := s.Holds()[0].Since
	s.changes = append(s.changes, s.Probed(s.now, "a", true)...)
	s.tick(time.Second)
	s.pass(timeout + time.Second)
	s.told()
	s.fail("a", 20, timeout)
	if c := s.changes[0]; c.Relapses != 1 || !c.Since.Equal(since) {
		t.Errorf("relapse %+v, of an outage since %s", c, since)
	}
	s.changes = append(s.changes, s.Probed(s.now, "a", true)...)
	s.tick(39 * time.Second)
	s.expect(t, "[a closed->held ratio][a held->probing probe]")
	s.ok("a", 3) // a NOTIFY is better evidence
	s.tick(2 * time.Second)
	s.expect(t, "[a probing->closed trial-passed]")
}

func TestOneDeadHopDoesNotHoldTheOthers(t *testing.T) {
	s := newScene(outage.Rules{})
	for range 100 {
		s.pass(50 * time.Millisecond)
		s.fail("dead", 12, timeout)
		s.ok("alive", 1)
	}
	s.expect(t, "[dead closed->held ratio]")
	if s.Held("alive") || !s.Held("dead") {
		t.Error("dead is held, alive is not")
	}
}

func TestManyHopsWithFewFailuresEach(t *testing.T) {
	s := newScene(outage.Rules{})
	for i := range 19 {
		s.fail(fmt.Sprint("hop-", i), 1, timeout)
	}
	s.fail("hop-19", 12, timeout)
	s.expect(t, "[ closed->held ratio]")
	if !s.Held("hop-7") || !s.Held("never seen") {
		t.Error("everything is held")
	}
	s.tick(2 * time.Second)
	if p := s.probes[0]; p.Scope != outage.Overall || p.Hop != "hop-19" {
		t.Errorf("probe %+v", p)
	}
	s.ok("hop-3", 1)
	s.tick(time.Second)
	s.expect(t, "[ held->probing notify][ probing->closed trial-passed]")
}

func TestUnreachable(t *testing.T) {
	s := newScene(outage.Rules{})
	s.ok("a", 100)
	s.changes = append(s.changes, s.Unreachable(s.now, "a")...)
	s.changes = append(s.changes, s.Unreachable(s.now, "a")...)
	s.ok("b", 1)
	s.expect(t, "[a closed->held unreachable]")
	s.ok("a", 1)
	s.tick(time.Second)
	s.expect(t, "[a held->probing notify][a probing->closed trial-passed]")
}

func TestOneDeadPhoneAmongHealthyOnes(t *testing.T) {
	s := newScene(outage.Rules{})
	for range 600 {
		s.pass(100 * time.Millisecond)
		s.ok("a", 50)
		s.fail("a", 1, timeout)
		s.fail("a", 1, timeout)
	}
	s.expect(t, "")
	// Nor does it when nobody else gets anything.
	s.pass(time.Minute)
	for range 600 {
		s.pass(100 * time.Millisecond)
		s.fail("a", 1, timeout)
	}
	s.expect(t, "")
}

func TestHopsAreBounded(t *testing.T) {
	s := newScene(outage.Rules{MaxHops: 2})
	s.ok("a", 1)
	s.ok("b", 1)
	s.fail("c", 40, timeout) // is judged as part of the whole
	s.expect(t, "[ closed->held ratio]")
	s.ok("c", 1)
	s.tick(time.Second)
	s.told()
	s.pass(time.Minute)
	s.fail("c", 40, timeout/1000) // a and b are forgotten
	s.expect(t, "[c closed->held ratio]")
}

func TestStatesHaveNames(t *testing.T) {
	if got := fmt.Sprint(outage.Closed, outage.Held, outage.Probing, outage.State(9)); got != "closed held probing unknown(9)" {
		t.Error(got)
	}
}

// A core that has just come back stumbles for a while. That is no relapse unless
// it happens to many, and no fault of those to whom it happens.
func TestAftermath(t *testing.T) {
	s := newScene(outage.Rules{})
	s.fail("a", 20, timeout)
	s.ok("a", 1)
	s.tick(time.Second)
	s.told()
	s.ok("a", 1000)
	s.pass(9 * time.Second)
	s.fail("a", 30, time.Second/2)
	s.expect(t, "")
	if !s.Aftermath("a", s.now) || s.Excused("a", s.now) || s.Aftermath("b", s.now) || s.Aftermath("a", s.now.Add(time.Second)) {
		t.Error("what was sent within ten seconds of the release, over that hop, is of the aftermath, and nothing else")
	}
	s.pass(10 * time.Second)
	s.fail("a", 20, 12*time.Second) // sent in the aftermath, and too many
	s.expect(t, "[a closed->held ratio]")
}

// An outage may begin slowly. When it is noticed, it began when things got worse.
func TestAnOutageThatBeginsSlowly(t *testing.T) {
	s := newScene(outage.Rules{})
	step := func(failed, passed int) {
		s.pass(time.Second)
		s.ok("a", passed)
		s.fail("a", failed, timeout/1000)
	}
	for range 30 {
		step(1, 99)
	}
	worse := s.now
	for i := 20; s.told() == ""; i++ {
		step(i, 100-i)
	}
	h := s.Holds()
	if len(h) != 1 || h[0].Since.Before(worse.Add(-10*time.Second)) || h[0].Since.After(worse.Add(2*time.Second)) {
		t.Errorf("since %s, but it got worse at %s", h[0].Since.Sub(dawn), worse.Sub(dawn))
	}
	if s.now.Sub(worse) < 20*time.Second {
		t.Errorf("held after %s already", s.now.Sub(worse))
	}
}

// Things that got worse and then better again are not of the outage that follows.
func TestABadTimeLongAgo(t *testing.T) {
	for _, quiet := range []bool{true, false} {
		s := newScene(outage.Rules{})
		s.ok("a", 30)
		s.fail("a", 19, timeout)
		s.pass(time.Minute)
		if !quiet {
			s.ok("a", 1000)
			s.fail("a", 1, timeout)
			s.pass(time.Minute)
		}
		s.fail("a", 20, timeout)
		if h := s.Holds(); len(h) != 1 || !h[0].Since.Equal(s.now.Add(-timeout)) {
			t.Errorf("holds %+v", h)
		}
	}
}

func TestSuspicion(t *testing.T) {
	s := newScene(outage.Rules{})
	suspect := func(want bool) {
		t.Helper()
		if got := s.Suspect(s.now, "a"); got != want {
			t.Errorf("at %s: suspect %t, want %t", s.now.Sub(dawn), got, want)
		}
	}
	suspect(false)
	s.ok("a", 1000)
	s.fail("a", 2, 0)
	s.fail("a", 2, 0) // the same two
	suspect(false)
	s.fail("a", 3, 0)
	suspect(true)
	s.ok("a", 1)
	suspect(false)
	s.pass(5 * time.Second)
	s.fail("a", 4, 0)
	s.ok("a", 1)
	suspect(true) // most of the last two seconds
	s.pass(5 * time.Second)
	suspect(false)
	s.fail("b", 3, 0)
	suspect(true) // of all hops
	s.pass(11 * time.Second)
	suspect(false)
}

// Everything fails from a moment on, at once, until nobody is left: too few among
// what passed before, and enough when that has left the window.
func TestJudgedAgain(t *testing.T) {
	s := newScene(outage.Rules{})
	for range 10 {
		s.pass(time.Second)
		s.ok("a", 500)
		s.ok("b", 10_000)
	}
	for range 4 {
		s.pass(time.Second)
		s.ok("b", 1000)
		s.fail("a", 500, 0)
	}
	s.expect(t, "")
	s.tick(time.Second)
	s.expect(t, "")
	s.tick(2 * time.Second)
	s.expect(t, "[a closed->held ratio]")
}
