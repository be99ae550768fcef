package ladder

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/policy"
)

const alice = "sip:alice@ims.example"

var dawn = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func step(after time.Duration, what string) dialogs.Step {
	return dialogs.Step{At: dawn.Add(after), What: what}
}

// open begins the recovery of an episode of a user.
func open(l *Ladders, aor string, episode uint64, after time.Duration) policy.State {
	s := policy.State{Phase: policy.Gathering, Episode: episode}
	l.Follow(aor, policy.State{Episode: episode - 1}, s, policy.Event{At: dawn.Add(after), Sub: policy.Broken{Event: "presence"}}, nil, 3)
	return s
}

// A recovery has what led to it, what passed in it by time, and what its end was; what
// follows a moment later belongs to it, and what is of another user does not.
func TestRecovery(t *testing.T) {
	l := New()
	l.Trace(alice, step(-time.Second, "NOTIFY"))
	l.Trace("sip:bob@ims.example", step(-time.Second, "of bob"))
	l.Trace(alice, step(-2*time.Hour, "long ago"))
	s := open(l, alice, 1, 0)
	l.Trace(alice, step(3*time.Second, "200 OK"))
	l.Add(alice, step(time.Second, "MESSAGE"))
	l.Add("sip:bob@ims.example", step(time.Second, "of bob"))
	waiting := s
	waiting.Phase, waiting.Sent, waiting.Deadline = policy.Waiting, 1, dawn.Add(time.Minute)
	l.Follow(alice, s, waiting, policy.Event{At: dawn.Add(time.Second)}, nil, 3)
	if v := l.Views()[0]; v.Phase != policy.Waiting || v.Attempt != 1 || v.Deadline == nil || v.Ended != nil || v.Of != 3 {
		t.Errorf("%+v", v)
	}
	end := policy.Event{At: dawn.Add(4 * time.Second)}
	l.Follow(alice, waiting, policy.State{Episode: 1}, end, []policy.Action{{Kind: policy.Recovered}}, 3)
	l.Trace(alice, step(4*time.Second+afterglow/2, "late"))
	l.Trace(alice, step(time.Minute, "afterwards"))
	v := l.Views()[0]
	var got string
	for _, s := range v.Steps {
		got += s.What + ";"
	}
	if got != "NOTIFY;MESSAGE;200 OK;late;" || v.Result != ResultRecovered || v.Ended == nil || !v.Ended.Equal(end.At) {
		t.Errorf("%s, %+v", got, v)
	}
	for _, b := range v.Broken {
		if b.Progress != policy.Proven {
			t.Errorf("%+v", b)
		}
	}
	l.Follow(alice, policy.State{Episode: 1}, policy.State{Episode: 1}, policy.Event{}, []policy.Action{{Kind: policy.GaveUp}}, 3)
	if again := l.Views()[0]; again.Result != ResultRecovered {
		t.Error("an end has a second end")
	}
}

// What is remembered has a bound in bytes as well, however long names and steps are.
func TestBytesAreBounded(t *testing.T) {
	l := New()
	long := make([]policy.Broken, policy.MaxBroken)
	for i := range long {
		long[i].Resource = strings.Repeat("x", 1024)
	}
	for i := range 2 * maxRecoveries {
		aor := fmt.Sprint("sip:u", i)
		s := open(l, aor, 1, 0)
		full := s
		full.Phase, full.Broken = policy.Waiting, long
		l.Follow(aor, s, full, policy.Event{At: dawn}, nil, 3)
		for range 2 * maxSteps {
			l.Trace(aor, step(0, strings.Repeat("y", 5000)))
		}
	}
	sum := 0
	for _, r := range l.all {
		sum += r.size()
		for _, s := range r.Steps {
			if len(s.What) > maxWhat {
				t.Fatalf("a step of %d bytes", len(s.What))
			}
		}
	}
	if sum != l.bytes || sum > MaxBytes || sum < MaxBytes*9/10 || len(l.all) != len(l.latest) {
		t.Errorf("%d bytes are counted, %d are taken by %d recoveries, of %d", l.bytes, sum, len(l.all), MaxBytes)
	}
}

// The running ones come first, each group the newest first; the oldest go when there
// are too many, and so do the steps of a long one.
func TestBounds(t *testing.T) {
	l := New()
	for i := range maxRecoveries + 10 {
		open(l, fmt.Sprint("sip:u", i), 1, time.Duration(i)*time.Second)
	}
	first := l.Views()[0]
	l.Follow(first.AOR, policy.State{Episode: 1}, policy.State{Episode: 1}, policy.Event{At: dawn}, []policy.Action{{Kind: policy.Abandoned}}, 3)
	views := l.Views()
	if len(views) != maxRecoveries || views[len(views)-1].AOR != first.AOR || views[0].AOR != fmt.Sprint("sip:u", maxRecoveries+8) {
		t.Errorf("%d, first %s, last %s", len(views), views[0].AOR, views[len(views)-1].AOR)
	}
	l.Add("sip:u0", step(0, "of one that is forgotten"))
	for i := range maxSteps + 5 {
		l.Add(views[0].AOR, step(time.Duration(i), fmt.Sprint(i)))
	}
	if steps := l.Views()[0].Steps; len(steps) != maxSteps || steps[0].What != "5" {
		t.Errorf("%d steps, the first is %s", len(steps), steps[0].What)
	}
	for i := range maxPrelude + 20 {
		l.Trace("sip:new", step(time.Duration(i), fmt.Sprint(i)))
	}
	open(l, "sip:new", 1, time.Second)
	if steps := l.Views()[0].Steps; len(steps) != maxSteps || steps[len(steps)-1].What != fmt.Sprint(maxPrelude+19) {
		t.Errorf("%d steps of the prelude", len(steps))
	}
}

// A recovery goes on after a restart, and follows what another replica has done.
func TestRestartAndReplicas(t *testing.T) {
	for phase, want := range map[policy.Phase]string{
		policy.Idle: ResultAbandoned, policy.Exhausted: ResultExhausted, policy.Waiting: "",
	} {
		l := New()
		l.Resume(alice, policy.State{Phase: policy.Notifying, Episode: 7, Started: dawn, Sent: 1}, 3)
		l.Align(alice, policy.State{Phase: phase, Episode: 7, Sent: 2})
		if v := l.Views(); len(v) != 1 || v[0].Result != want || !v[0].Started.Equal(dawn) || v[0].Phase != phase {
			t.Errorf("%s: %+v", phase, v)
		}
		l.Align("sip:nobody", policy.State{Phase: policy.Waiting})
	}
	l := New()
	l.Resume(alice, policy.State{Phase: policy.Idle}, 3)
	l.Resume(alice, policy.State{Phase: policy.Exhausted}, 3)
	if v := l.Views(); len(v) != 0 {
		t.Errorf("what is over goes on: %+v", v)
	}
}
