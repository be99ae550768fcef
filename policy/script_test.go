package policy

import (
	"bufio"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden scripts in testdata")

// dawn is when every test begins; the scripts count from it.
var dawn = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// standard are the rules as the defaults of the configuration give them.
func standard() Rules {
	return Rules{
		Threshold:          3,
		Ban:                time.Hour,
		ResubscribeTimeout: 30 * time.Second,
		Coalesce:           500 * time.Millisecond,
		ProofTimeout:       32 * time.Second,
		MessageTimeout:     40 * time.Second,
		DeregisterRetry:    5 * time.Second,
		DeregisterTries:    3,
		StrikeTTL:          24 * time.Hour,
		Forget:             24 * time.Hour,
		Apart:              time.Hour,
	}
}

// TestScripts plays testdata/*.txt. A line that begins at the margin is an
// event, or the rules; the indented lines below it are the state and the actions
// that follow, and are written by -update.
//
//	rules threshold=1 on-threshold=ban
//	0s    notify-failed presence bob call-1 408 Request Timeout
//	@     tick
//
// The first word is the time since the beginning, "@" is the deadline of the
// state. The words after the event are event package, resource, Call-ID and cause,
// after the flags of the event (see readFlag); for excuse, since when it was; for turn
// and message-done, episode and try if they are not the present ones.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, file, play(t, string(want)), string(want))
		})
	}
}

func compare(t *testing.T, file, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range gotLines {
		if i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("%s:%d (rewrite with -update)\n got: %s\nwant: %s", file, i+1,
				gotLines[i], strings.Join(wantLines[min(i, len(wantLines)):min(i+1, len(wantLines))], ""))
		}
	}
	t.Fatalf("%s: the script has more lines than expected", file)
}

// play runs a script and returns it with the outcomes filled in.
func play(t *testing.T, script string) string {
	t.Helper()
	var out strings.Builder
	r, s := standard(), State{}
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "    ") {
			continue // an outcome, written anew
		}
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
			continue
		case words[0] == "rules":
			r = readRules(t, r, words[1:])
			continue
		}
		var actions []Action
		s, actions = Decide(r, s, readEvent(t, s, words))
		fmt.Fprintln(&out, "    "+showState(s))
		for _, a := range actions {
			fmt.Fprintln(&out, "    -> "+showAction(a))
		}
	}
	return out.String()
}

func readRules(t *testing.T, r Rules, words []string) Rules {
	t.Helper()
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch key {
		case "threshold":
			r.Threshold, err = strconv.Atoi(value)
		case "count":
			err = read(&r.Count, countModes, "count", []byte(value))
		case "on-threshold":
			err = read(&r.OnThreshold, onThresholds, "on-threshold", []byte(value))
		case "coalesce":
			r.Coalesce, err = time.ParseDuration(value)
		case "patience":
			err = read(&r.Patience, patiences, "patience", []byte(value))
		case "strike-ttl":
			r.StrikeTTL, err = time.ParseDuration(value)
		case "ban":
			r.Ban, err = time.ParseDuration(value)
		default:
			t.Fatalf("unknown rule %q", key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func readEvent(t *testing.T, s State, words []string) Event {
	t.Helper()
	if len(words) < 2 {
		t.Fatalf("want a time and an event: %q", words)
	}
	kind := slices.Index(eventKinds, words[1])
	if kind < 0 {
		t.Fatalf("unknown event %q", words[1])
	}
	e := Event{Kind: EventKind(kind), At: s.Deadline, Episode: s.Episode, Try: s.Tries}
	if words[0] != "@" {
		d, err := time.ParseDuration(words[0])
		if err != nil {
			t.Fatal(err)
		}
		e.At = dawn.Add(d)
	}
	words = words[2:]
	if e.Kind == Excuse { // since when
		d, err := time.ParseDuration(words[0])
		if err != nil {
			t.Fatal(err)
		}
		e.Since = dawn.Add(d)
		return e
	}
	sub := Broken{}
	for len(words) > 0 && readFlag(t, &e, &sub, words[0]) {
		words = words[1:]
	}
	if (e.Kind == MessageDone || e.Kind == Turn) && len(words) == 2 { // of an older one: episode, try
		e.Episode, _ = strconv.ParseUint(words[0], 10, 64)
		e.Try, _ = strconv.Atoi(words[1])
		return e
	}
	if len(words) >= 3 {
		sub.Event, sub.Resource, sub.CallID, sub.Cause = words[0], words[1], words[2], strings.Join(words[3:], " ")
	}
	if e.Sub = sub; sub.Cause != "" {
		e.Pointless = strings.HasPrefix(e.Sub.Cause, "489")
	}
	return e
}

// readFlag reads one of the words that may stand before the event package.
func readFlag(t *testing.T, e *Event, sub *Broken, word string) bool {
	t.Helper()
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "excused":
		e.Excused = true
	case "unproven":
		e.Unproven = true
	case "alive":
		e.Alive = true
	case "pointless":
		e.Pointless = true
	case "undelivered":
		e.Undelivered = true
	case "stumbled":
		e.Undelivered, e.Stumbled = true, true
	case "deaf":
		e.Deaf = true
	case "others":
		e.Others = true
	case "by":
		if err := e.By.UnmarshalText([]byte(value)); err != nil {
			t.Fatal(err)
		}
	case "device":
		sub.Device = value
	case "contact":
		sub.Contact = value
	case "tag":
		sub.Tag = value
	case "due":
		d, err := time.ParseDuration(value)
		if err != nil {
			t.Fatal(err)
		}
		sub.Due = dawn.Add(d)
	default:
		return false
	}
	return true
}

// showState tells of a state what is not zero.
func showState(s State) string {
	words := []string{s.Phase.String()}
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if s.Sent > 0 {
		add("sent %d", s.Sent)
	}
	if s.Tries > 0 {
		add("try %d", s.Tries)
	}
	t := newMachine(Rules{}, s, Event{}).tally()
	for _, n := range []struct {
		n    int
		what string
	}{
		{t.lost, "lost"},
		{t.toldLost, "of them told"},
		{t.all - t.lost - t.proven, "resubscribed"},
		{t.proven, "proven"},
		{s.More, "more"},
		{s.UnchargedSent, "free"},
		{s.DeregisterTried, "de-REGISTERs failed"},
	} {
		if n.n > 0 {
			add("%d %s", n.n, n.what)
		}
	}
	for _, flag := range []struct {
		set  bool
		what string
	}{
		{s.InFlight, "MESSAGE in flight"},
		{s.Transmitted, "left"},
		{s.Excused, "excused"},
		{s.Deaf, "deaf"},
		{s.SignedOut, "signed out"},
		{s.StaysRegistered, "kept"},
		{s.Alarm, AlarmExhausted},
		{s.BanAlarm, AlarmBanned},
		{s.DeregisterAlarm, AlarmDeregisterFailed},
	} {
		if flag.set {
			add("%s", flag.what)
		}
	}
	for _, d := range s.Devices {
		if name := d.ID + d.Contact; d.Heeds {
			add("heeds %s", cmp.Or(name, "it"))
		} else if name != "" {
			add("told %s", name)
		}
	}
	if !s.BannedUntil.IsZero() {
		add("banned until %s", s.BannedUntil.Sub(dawn))
	}
	if !s.Deadline.IsZero() {
		add("deadline %s", s.Deadline.Sub(dawn))
	}
	return strings.Join(words, ", ")
}

func showAction(a Action) string {
	var b strings.Builder
	b.WriteString(a.Kind.String())
	switch a.Kind {
	case SendMessage:
		fmt.Fprintf(&b, " %d of %d, try %d:", a.Attempt, a.Of, a.Try)
		if a.Excused {
			b.WriteString(" excused")
		}
	case Transmit:
		fmt.Fprintf(&b, " try %d", a.Try)
	case DoDeregister:
		fmt.Fprintf(&b, " try %d", a.Try)
		for _, d := range a.Devices {
			if name := d.ID + d.Contact; name != "" {
				b.WriteString(" " + name)
			}
		}
	case Returned:
		fmt.Fprintf(&b, " by %s", a.By)
	case StartBan:
		fmt.Fprintf(&b, " until %s", a.Until.Sub(dawn))
	case RaiseAlarm, ClearAlarm:
		b.WriteString(" " + a.Alarm)
	case Recovered, GaveUp, Abandoned:
		fmt.Fprintf(&b, " after %s", a.Took)
	case EndBan:
	}
	for i, broken := range a.Broken {
		if i == 4 {
			fmt.Fprintf(&b, " ... %d in all", len(a.Broken))
			break
		}
		fmt.Fprintf(&b, " [%s %s %s %s]", broken.Event, broken.Resource, broken.CallID, broken.Cause)
	}
	if a.More > 0 {
		fmt.Fprintf(&b, " and %d more", a.More)
	}
	return b.String()
}
