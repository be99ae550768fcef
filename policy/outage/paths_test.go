package outage

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

// The latest of others is exact, in whatever order the marks come.
func TestPairTellsOfOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p pair
		latest := map[uint64]time.Time{}
		for range rapid.IntRange(1, 20).Draw(t, "marks") {
			m := mark{
				rapid.Uint64Range(1, 4).Draw(t, "user"),
				dawn.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "at")) * time.Second),
			}
			p.add(m)
			latest[m.user] = later(latest[m.user], m.at)
		}
		for user := range uint64(6) {
			var want time.Time
			for other, at := range latest {
				if other != user {
					want = later(want, at)
				}
			}
			if got := p.besides(user); !got.Equal(want) {
				t.Fatalf("besides %d: %v, want %v", user, got, want)
			}
		}
		if p.several() != (len(latest) > 1) {
			t.Fatalf("%d users, several %v", len(latest), p.several())
		}
	})
}

// Passes that were counted apart are the same together.
func TestPassesJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all, a, b Passes
		for i := range rapid.IntRange(0, 20).Draw(t, "passes") {
			at, who := dawn.Add(time.Duration(i)*time.Second), rapid.Uint64Range(1, 4).Draw(t, "user")
			all.Add(at, who)
			if rapid.Bool().Draw(t, "a") {
				a.Add(at, who)
			} else {
				b.Add(at, who)
			}
		}
		a.Join(&b)
		if a.N != all.N || a.users != all.users {
			t.Fatalf("%+v, want %+v", a, all)
		}
		for user := range uint64(6) {
			if got, want := a.who.besides(user), all.who.besides(user); !got.Equal(want) {
				t.Fatalf("besides %d: %v, want %v", user, got, want)
			}
		}
	})
}

// distinctUsers gives users whose bits in a bitmap differ.
func distinctUsers(n int) []uint64 {
	var users []uint64
	var seen bitmap
	for user := uint64(1); len(users) < n; user++ {
		before := seen.distinct()
		if seen.add(user); seen.distinct() > before {
			users = append(users, user)
		}
	}
	return users
}

// How many have to fail, of how many who are known.
func TestHowManyTellOfAnOutage(t *testing.T) {
	for _, c := range []struct{ known, enough int }{
		{1, 10}, {40, 10}, {54, 10}, {60, 12}, {200, 40}, {400, 80}, {480, 96}, {800, 100}, {1000, 100},
	} {
		p := NewPaths(Limits{Ratio: 0.01})
		users := distinctUsers(watcherBits)
		var known Passes
		for _, user := range users[watcherBits-known1024(c.known):] {
			known.Add(dawn, user)
		}
		p.Passed(dawn, "core", known)
		failed := 0
		for _, user := range users {
			var one Passes
			one.Add(dawn.Add(time.Minute), users[watcherBits-1])
			p.Passed(dawn.Add(time.Minute), "core", one)
			failed++
			v, _ := p.Failed(Try{Hop: "core", User: user, Sent: dawn.Add(time.Minute), At: dawn.Add(time.Minute), Core: true})
			if v == Outage {
				break
			}
		}
		if failed != c.enough {
			t.Errorf("%d known: held after %d, want %d", c.known, failed, c.enough)
		}
	}
}

// known1024 is how many bits so many users set on average.
func known1024(users int) int {
	var c crowd
	for bits := range watcherBits {
		c.now = bitmap{}
		for _, user := range distinctUsers(bits) {
			c.now.add(user)
		}
		if c.turned = dawn; c.size(dawn) >= users {
			return bits
		}
	}
	return watcherBits
}

// The share is of users, until they are too many to be told apart.
func TestVoters(t *testing.T) {
	for _, c := range []struct{ bits, failed, want int }{
		{1, 500, 1}, {895, 5000, 895}, {896, 5000, 896}, {897, 5000, 5000}, {897, 800, 897},
	} {
		b := bucket{failed: c.failed}
		for _, user := range distinctUsers(c.bits) {
			b.watchers.add(user)
		}
		if got := b.voters(); got != c.want {
			t.Errorf("%d bits of %d failures: %d voters, want %d", c.bits, c.failed, got, c.want)
		}
	}
}

// A share is too high above the ratio, not at it.
func TestShare(t *testing.T) {
	for _, c := range []struct {
		failed, passed int
		held           bool
	}{{20, 20, false}, {21, 20, true}, {20, 19, true}} {
		p := NewPaths(Limits{})
		for range c.passed {
			var one, none Passes
			one.Add(dawn, 7777)
			p.Passed(dawn, "core", one)
			p.Passed(dawn, "core", none)
		}
		for _, user := range distinctUsers(c.failed) {
			p.Failed(Try{Hop: "core", User: user, Sent: dawn, At: dawn, Refused: true, Core: true})
		}
		if p.Held("core") != c.held {
			t.Errorf("%d failed and %d passed: held %v", c.failed, c.passed, p.Held("core"))
		}
	}
}

// Who is known is forgotten after half an hour to an hour.
func TestCrowdIsForgotten(t *testing.T) {
	for _, c := range []struct {
		after []time.Duration
		want  int
	}{
		{[]time.Duration{0}, 4},
		{[]time.Duration{crowdTurn - 1}, 4},
		{[]time.Duration{crowdTurn}, 4},
		{[]time.Duration{crowdTurn, 2*crowdTurn - 1}, 4},
		{[]time.Duration{crowdTurn, 2 * crowdTurn}, 0},
		{[]time.Duration{2*crowdTurn - 1}, 4},
		{[]time.Duration{2 * crowdTurn}, 0},
	} {
		var users bitmap
		for _, user := range distinctUsers(4) {
			users.add(user)
		}
		var k crowd
		k.add(&users, dawn)
		got := 0
		for _, d := range c.after {
			got = k.size(dawn.Add(d))
		}
		if got != c.want {
			t.Errorf("after %v: %d known, want %d", c.after, got, c.want)
		}
	}
}

// Hops that were quiet make room, once a minute at most; those that are held or doubted
// stay.
func TestHopsAreSwept(t *testing.T) {
	at := func(d time.Duration) time.Time { return dawn.Add(d) }
	pass := func(p *Paths, hop string, d time.Duration) {
		for user := range uint64(2) {
			var one Passes
			one.Add(at(d), user)
			p.Passed(at(d), hop, one)
		}
	}
	knows := func(p *Paths, hop string) bool { return p.hops[hop] != nil }
	p := NewPaths(Limits{MaxHops: 4})
	pass(p, "held", 0)
	p.Failed(Try{Hop: "held", User: 1, Sent: at(1), At: at(2 * time.Second)})
	p.Failed(Try{Hop: "held", User: 2, Sent: at(1), At: at(2 * time.Second)})
	pass(p, "doubted", 0)
	p.Failed(Try{Hop: "doubted", User: 1, Sent: at(1), At: at(2 * time.Second)})
	pass(p, "quiet", 0)
	pass(p, "quiet too", time.Second)
	pass(p, "new", sweepAge)
	if knows(p, "new") || !knows(p, "quiet") {
		t.Fatal("a hop was forgotten too early")
	}
	pass(p, "new", sweepAge+sweepEvery-1)
	if knows(p, "new") {
		t.Fatal("swept twice within a minute")
	}
	p.sweep(at(sweepAge + sweepEvery - time.Second)) // not yet either
	pass(p, "quiet too", sweepAge+sweepEvery-1)
	pass(p, "new", sweepAge+sweepEvery)
	if !knows(p, "new") || knows(p, "quiet") || !knows(p, "held") || !knows(p, "doubted") || !knows(p, "quiet too") {
		t.Fatalf("it knows %v", p.hops)
	}
	if len(p.hops) != 4 {
		t.Fatalf("%d hops", len(p.hops))
	}
}

// A hop seems to be gone ten minutes after the last that was tried, or came from it, or
// after the hold began.
func TestDeserted(t *testing.T) {
	for _, c := range []struct{ hold, tried, passed, gone time.Duration }{
		{0, 0, 0, 10 * time.Minute},
		{time.Minute, 0, 0, 11 * time.Minute},
		{0, time.Minute, 0, 11 * time.Minute},
		{0, 0, time.Minute, 11 * time.Minute},
		{time.Minute, 3 * time.Minute, 2 * time.Minute, 13 * time.Minute},
		{time.Minute, 2 * time.Minute, 3 * time.Minute, 13 * time.Minute},
		{3 * time.Minute, 2 * time.Minute, time.Minute, 13 * time.Minute},
	} {
		p := NewPaths(Limits{})
		h := &path{tried: dawn.Add(c.tried), hold: &Record{At: dawn.Add(c.hold)}}
		h.passed.add(mark{1, dawn.Add(c.passed)})
		if p.deserted(h, dawn.Add(c.gone-1)) || !p.deserted(h, dawn.Add(c.gone)) {
			t.Errorf("%+v", c)
		}
	}
}

// The pauses between two OPTIONS double, and are shortened by a quarter at most, not
// always by the same.
func TestProbes(t *testing.T) {
	l := Limits{ProbeMin: time.Second, ProbeMax: 8 * time.Second}.withDefaults()
	pauses := map[time.Duration]bool{}
	for _, name := range []string{"a", "b"} {
		h := &path{name: name}
		for i, want := range []time.Duration{1, 2, 4, 8, 8, 8} {
			h.nextProbe(&l, dawn)
			pause := h.probeAt.Sub(dawn)
			if want *= time.Second; pause > want || pause < want*3/4 {
				t.Errorf("pause %d of %s: %s, want %s or a little less", i, name, pause, want)
			}
			pauses[pause] = true
		}
	}
	if len(pauses) < 6 {
		t.Errorf("the pauses are %v", pauses)
	}
}

// Few may go ahead, after pauses that double up to a minute.
func TestFewGoAhead(t *testing.T) {
	p := NewPaths(Limits{})
	if !p.Restore(Record{Hop: "core", At: dawn}, dawn) {
		t.Fatal("not restored")
	}
	now, pause := dawn, 5*time.Second
	for range 7 {
		p.Answered(now, "core", now, true)
		for i := range fewAhead + 1 {
			if got := p.GoAhead("core"); got != (i < fewAhead) {
				t.Fatalf("%s: the %d. goes ahead: %v", now.Sub(dawn), i+1, got)
			}
		}
		p.Answered(now.Add(pause-1), "core", now, true)
		if p.GoAhead("core") {
			t.Fatalf("one more after %s", pause-1)
		}
		now, pause = now.Add(pause), min(2*pause, time.Minute)
	}
}

// The state outlives a restart, and is small.
func TestRecordSurvivesJSON(t *testing.T) {
	r := Record{Hop: "10.0.0.1:5060", Reason: ReasonSilence, At: dawn, Since: dawn.Add(-time.Minute), Watchers: 3}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"hop":"10.0.0.1:5060","reason":"silence","at":"2026-01-01T00:00:00Z","since":"2025-12-31T23:59:00Z","watchers":3}`
	if string(b) != want {
		t.Errorf("%s", b)
	}
	var back Record
	if err := json.Unmarshal(b, &back); err != nil || back != r {
		t.Errorf("%+v, %v", back, err)
	}
	if size := unsafe.Sizeof(path{}); size > 3<<10 {
		t.Errorf("a path takes %d bytes", size)
	}
}

func TestWords(t *testing.T) {
	got := fmt.Sprint(Proven, Ask, Wait, Unproven, Outage, Began, Ended, Settled)
	if got != "proven ask wait unproven outage began ended settled" {
		t.Error(got)
	}
}

// Zero limits get their defaults, others stay.
func TestLimits(t *testing.T) {
	want := Limits{
		Ratio: 0.5, Window: 10 * time.Second, MinWatchers: 10, Quiet: 28 * time.Second, AskTimeout: 10 * time.Second,
		Gone: 10 * time.Minute, ProbeMin: time.Second, ProbeMax: 2 * time.Second, MaxHops: 1024,
	}
	if got := (Limits{}).withDefaults(); got != want {
		t.Errorf("%+v", got)
	}
	own := Limits{
		Off: true, Ratio: 2, Window: 11, MinWatchers: 4, Quiet: 5, AskTimeout: 6, Gone: 7, ProbeMin: 9, ProbeMax: 9, MaxHops: 10,
	}
	if got := own.withDefaults(); got != own {
		t.Errorf("%+v", got)
	}
	if got := (Limits{ProbeMin: time.Minute, MinWatchers: 9999}).withDefaults(); got.ProbeMax != time.Minute || got.MinWatchers != maxWatchers {
		t.Errorf("%+v", got)
	}
}

// What was sent less than ten seconds after the end of a hold, and meets with silence, is
// the outage's still; later it speaks against the user if others get through.
func TestStumblingCore(t *testing.T) {
	for sent, want := range map[time.Duration]Verdict{
		0: Outage, 9999 * time.Millisecond: Outage, 10 * time.Second: Proven,
	} {
		p := NewPaths(Limits{})
		if !p.Restore(Record{Hop: "core", At: dawn.Add(-time.Minute)}, dawn.Add(-time.Minute)) {
			t.Fatal("not restored")
		}
		pass := func(at time.Time) {
			var got Passes
			got.Add(at, 7)
			p.Passed(at, "core", got)
		}
		pass(dawn) // ends the hold
		pass(dawn.Add(20 * time.Second))
		if got, _ := p.Failed(Try{Hop: "core", User: 1, Sent: dawn.Add(sent), At: dawn.Add(40 * time.Second)}); got != want {
			t.Errorf("sent after %s: %s, want %s", sent, got, want)
		}
	}
}

// An outage that is noticed now began when something got through last, up to five minutes
// ago; else with the first failure.
func TestSince(t *testing.T) {
	first := -time.Minute
	for passed, want := range map[time.Duration]time.Duration{
		-2 * time.Minute: -2 * time.Minute, -5 * time.Minute: -5 * time.Minute, -5*time.Minute - 1: first,
	} {
		h := &path{first: dawn.Add(first)}
		h.passed.add(mark{1, dawn.Add(passed)})
		if got := h.since(dawn).Sub(dawn); got != want {
			t.Errorf("passed %s ago: since %s, want %s", -passed, got, want)
		}
	}
}

// TestUnsent: what was never sent tells nothing of a path, however many there are of it, and
// is judged by what else is known of that.
func TestUnsent(t *testing.T) {
	unsent := func(p *Paths, hop string, user uint64) Verdict {
		v, notices := p.Failed(Try{Hop: hop, User: user, Sent: dawn, At: dawn.Add(28 * time.Second), Unsent: true, Core: hop == "core"})
		if len(notices) > 0 {
			t.Errorf("%q: %+v", hop, notices)
		}
		return v
	}
	for hop, want := range map[string]Verdict{"": Unproven, "core": Ask} {
		p := NewPaths(Limits{})
		for _, user := range distinctUsers(200) {
			if v := unsent(p, hop, user); v != want && v != Wait {
				t.Fatalf("%q: %v", hop, v)
			}
		}
		if p.Any() {
			t.Errorf("%q is held", hop)
		}
	}
	p := NewPaths(Limits{})
	var got Passes
	got.Add(dawn.Add(time.Second), 7)
	p.Passed(dawn.Add(time.Second), "core", got)
	if v := unsent(p, "core", 1); v != Proven {
		t.Errorf("others got through: %v", v)
	}
	p.Restore(Record{Hop: "core", At: dawn}, dawn)
	if v := unsent(p, "core", 1); v != Outage {
		t.Errorf("held: %v", v)
	}
}
