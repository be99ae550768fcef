package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// feed lets events happen in a row and returns the last state and all actions.
func feed(r Rules, s State, events ...Event) (State, []Action) {
	var all []Action
	for _, e := range events {
		if e.Kind == Tick && e.At.IsZero() {
			e.At = s.Deadline
		}
		if e.Kind == MessageDone {
			e.Episode, e.Try = s.Episode, s.Tries
		}
		var actions []Action
		s, actions = Decide(r, s, e)
		all = append(all, actions...)
	}
	return s, all
}

func failed(at time.Duration, resource, callID string) Event {
	return Event{Kind: NotifyFailed, At: dawn.Add(at), Sub: Broken{
		Event: "presence", Resource: resource, CallID: callID, Cause: "408 Request Timeout",
	}}
}

func TestHundredBrokenShareOneMessage(t *testing.T) {
	r, s := standard(), State{}
	var actions []Action
	for i := range 100 {
		at := time.Duration(i) * time.Millisecond
		s, actions = feed(r, s, failed(at, fmt.Sprint("friend-", i), fmt.Sprint("call-", i)))
		if len(actions) != 0 {
			t.Fatalf("failure %d: actions %v", i, actions)
		}
	}
	s, actions = feed(r, s, Event{Kind: Tick})
	if len(actions) != 1 || actions[0].Kind != SendMessage || len(actions[0].Broken) != 100 {
		t.Fatalf("actions %v, want one MESSAGE that names all 100", actions)
	}
	if s.Sent != 1 {
		t.Errorf("sent %d, want one strike", s.Sent)
	}
}

func TestBrokenIsBounded(t *testing.T) {
	r, s := standard(), State{}
	for i := range MaxBroken + 10 {
		s, _ = feed(r, s, failed(0, fmt.Sprint("friend-", i), "call"))
	}
	if len(s.Broken) != MaxBroken || s.More != 10 {
		t.Fatalf("%d broken and %d more, want %d and 10", len(s.Broken), s.More, MaxBroken)
	}
	_, actions := feed(r, s, Event{Kind: Tick})
	if actions[0].More != 10 {
		t.Errorf("the MESSAGE tells of %d more, want 10", actions[0].More)
	}
	// One that came back makes room.
	s.Broken[0].Progress = Proven
	s, _ = feed(r, s, failed(0, "newcomer", "call"))
	if len(s.Broken) != MaxBroken || s.More != 10 || s.Broken[MaxBroken-1].Resource != "newcomer" {
		t.Errorf("the newcomer did not take the place of the one that came back")
	}
}

// The MESSAGE carries Told as it was before, so that who sends it can tell what
// is named anew.
func TestMessageTellsNewFromRepeated(t *testing.T) {
	r := standard()
	s, _ := feed(r, State{}, failed(0, "bob", "call-1"), Event{Kind: Tick},
		Event{Kind: MessageDone, At: dawn.Add(time.Second)}, failed(2*time.Second, "eve", "call-2"))
	_, actions := feed(r, s, Event{Kind: Tick})
	named := actions[0].Broken
	if len(named) != 2 || !named[0].Told || named[1].Told {
		t.Errorf("named %+v, want bob told before and eve not", named)
	}
}

func TestTimeoutDoublesWithinBounds(t *testing.T) {
	for n, want := range map[int]time.Duration{
		0: 30 * time.Second, 1: time.Minute, 3: 4 * time.Minute,
	} {
		if got := double(30*time.Second, n); got != want {
			t.Errorf("double(30s, %d) = %s, want %s", n, got, want)
		}
	}
	if got := double(30*time.Second, 1_000_000); got > 2*longest {
		t.Errorf("double grows to %s", got)
	}
}

func TestStateSurvivesJSON(t *testing.T) {
	for _, in := range situations() {
		text, err := json.Marshal(in.state)
		if err != nil {
			t.Fatal(err)
		}
		var out State
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !out.Equal(in.state) {
			t.Errorf("%s: %+v became %+v", in.name, in.state, out)
		}
	}
}

func TestWords(t *testing.T) {
	if got := Exhausted.String() + " " + Resubscribed.String() + " " + Unban.String() + " " + Abandoned.String(); got !=
		"exhausted resubscribed unban abandoned" {
		t.Error(got)
	}
	if got := (Exhausted + 1).String(); got != "unknown(6)" {
		t.Error(got)
	}
	var o OnThreshold
	if err := read(&o, onThresholds, "on-threshold", []byte("ban")); err != nil || o != Ban {
		t.Errorf("ban: %v, %v", o, err)
	}
	if err := read(&o, onThresholds, "on-threshold", []byte("bann")); err == nil {
		t.Error("bann was taken")
	}
}

// A user whose names are long has no more memory than one with short ones: what does not
// fit is only counted, also where a longer name takes the place of a short one.
func TestTextOfBrokenIsBounded(t *testing.T) {
	long := strings.Repeat("x", 1000)
	var s State
	fail := func(resource, call string) {
		s, _ = Decide(standard(), s, Event{Kind: NotifyFailed, At: dawn, Sub: Broken{Event: "presence", Resource: resource, CallID: call, Contact: long}})
	}
	for i := range 200 {
		fail(fmt.Sprint("short", i), "1")
	}
	if len(s.Broken)+s.More != 200 || s.More == 0 || textOf(s.Broken) > MaxBrokenText {
		t.Errorf("%d broken of %d bytes and %d more", len(s.Broken), textOf(s.Broken), s.More)
	}
	s = State{}
	long = ""
	for i := range MaxBroken {
		fail(fmt.Sprint("short", i), "1")
	}
	long = strings.Repeat("x", 1000)
	for i := range MaxBroken {
		fail(fmt.Sprint("short", i), "2")
	}
	if len(s.Broken)+s.More < MaxBroken || s.More == 0 || textOf(s.Broken) > MaxBrokenText {
		t.Errorf("%d broken of %d bytes and %d more", len(s.Broken), textOf(s.Broken), s.More)
	}
	if size := s.Size(); size > MaxBrokenText+(MaxBroken+64)*400 {
		t.Errorf("a state has %d bytes", size)
	}
}
