package outage

import (
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A walk lets things happen at random, the same in every run, at times that lie on a
// lattice: so the limits are met exactly, which are multiples of a second as well. What
// can be seen from outside stands in testdata/*.golden, and is written by -update: every
// change in words, and a sum over the answers to all questions. Where the sum alone is
// another one, -v tells the answers that have changed on the way.
type walk struct {
	t       *testing.T
	out     strings.Builder
	dice    *rand.Rand
	now     time.Time
	seen    map[string]string
	answers hash.Hash32
}

// begin begins a walk.
func (w *walk) begin(name string, seed uint64) {
	w.dice, w.now, w.seen, w.answers = rand.New(rand.NewPCG(seed, 0)), dawn, map[string]string{}, fnv.New32a() //nolint:gosec // the same in every run
	fmt.Fprintln(&w.out, name)
}

// pass lets time pass: mostly none or a second. A time that was
// awaited to the nanosecond is left for the lattice soon.
func (w *walk) pass() {
	if full := w.now.Truncate(time.Second); full != w.now && w.dice.IntN(2) == 0 {
		w.now = full.Add(time.Second)
	}
	w.now = w.now.Add(pick(w, 0, 0, 0, 0, 0, time.Second, time.Second, time.Second, 2*time.Second, 4*time.Second,
		pick(w, time.Millisecond, 10*time.Second, 20*time.Second, 30*time.Second, pick(w, time.Minute, recent, 2*recent, crowdTurn, 2*crowdTurn))))
}

// pick takes one of some.
func pick[T any](w *walk, of ...T) T { return of[w.dice.IntN(len(of))] }

// ago is a time before now.
func (w *walk) ago() time.Time {
	return w.now.Add(-pick(w, 0, time.Second, time.Second, 2*time.Second, 4*time.Second, 10*time.Second))
}

func (w *walk) user() uint64 { return uint64(w.dice.IntN(8)) } //nolint:gosec // not negative

// say tells what happened, at is when.
func (w *walk) say(format string, args ...any) {
	fmt.Fprintf(&w.out, "%8s %s\n", offset(w.now), fmt.Sprintf(format, args...))
}

// answer takes the answer to a question, if it is another than before.
func (w *walk) answer(question string, is any) {
	if now := fmt.Sprint(is); w.seen[question] != now {
		w.seen[question] = now
		line := fmt.Sprintf("%8s     %s: %s", offset(w.now), question, now)
		_, _ = w.answers.Write([]byte(line))
		if testing.Verbose() {
			w.t.Log(line)
		}
	}
}

// rest sums up what was answered so far.
func (w *walk) rest(step int) {
	if step%20 == 19 {
		w.say("answers %08x", w.answers.Sum32())
	}
}

func offset(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.Sub(dawn).String()
}

func (w *walk) compare(file string) {
	t := w.t
	t.Helper()
	want, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	got := w.out.String()
	if *update && got != string(want) {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	g, x := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(x)) {
		if g[i] != x[i] {
			t.Fatalf("%s:%d (rewrite with -update)\n got: %s\nwant: %s", file, i+1, g[i], x[i])
		}
	}
	if len(g) != len(x) {
		t.Fatalf("%s: %d lines, want %d", file, len(g), len(x))
	}
}

var walkHops = []string{"a", "b", "c", "d"}

func TestPathsWalk(t *testing.T) {
	w := &walk{t: t}
	limits := Limits{
		Quiet: 4 * time.Second, AskTimeout: 2 * time.Second, Gone: 20 * time.Second,
		ProbeMax: 4 * time.Second, MaxHops: 3,
	}
	for i, ratio := range []float64{0.5, 0.2, 1} {
		limits.Ratio, limits.MinWatchers = ratio, 3-i%2
		w.begin(fmt.Sprintf("ratio %g", ratio), uint64(i)) //nolint:gosec // not negative
		p := NewPaths(limits)
		last := Try{Sent: dawn, At: dawn}
		for step := range 900 {
			w.happen(p, &last, step/50%3)
			w.askPaths(p)
			w.rest(step)
		}
	}
	w.compare("testdata/paths.golden")
}

// happen is one thing that happens in some weather: 0 is calm, in 2 nothing gets through.
func (w *walk) happen(p *Paths, last *Try, weather int) {
	w.pass()
	hop := pick(w, "a", "a", "a", pick(w, append([]string{""}, walkHops...)...))
	var notices []Notice
	verdict := func(what string, v Verdict, n []Notice) {
		w.say("%s %s: %s", what, hop, v)
		notices = n
	}
	switch n := w.dice.IntN(20); {
	case n < 3:
		var ask []string
		if next := p.Next(); !next.IsZero() && w.dice.IntN(2) == 0 {
			w.now = later(w.now, next)
		}
		waits := w.dice.IntN(2) == 0
		if ask, notices = p.Tick(w.now, func(string) bool { return waits }); len(ask) > 0 {
			w.say("ask %v", ask)
		}
	case n < 5:
		notices = p.Answered(w.now, hop, w.ago(), w.dice.IntN(3) > weather)
	case n == 5:
		v, all := p.Judge(w.now, *last)
		hop = last.Hop
		verdict("judge", v, all)
	case n < 8:
		told := pick(w, time.Time{}, w.ago(), w.now.Add(-time.Minute), w.now.Add(-recent))
		v, all := p.MayBlame(w.now, hop, w.user(), told, w.dice.IntN(3) == 0)
		verdict("blame", v, all)
	case n == 8:
		w.say("ahead %s: %t", hop, p.GoAhead(hop))
	case n == 9 && w.dice.IntN(3) == 0:
		notices = p.End(w.now, hop)
	case n == 10 && w.dice.IntN(5) == 0:
		w.say("restore %s: %t, ahead %t", hop, p.Restore(Record{Hop: hop, Reason: ReasonSilence, At: w.now, Since: w.ago(), Watchers: 3}, w.now), p.GoAhead(hop))
	case weather < 2 && n < 14-2*weather:
		var got Passes
		for range w.dice.IntN(4) {
			got.Add(w.ago(), w.user())
		}
		notices = p.Passed(w.now, hop, got)
	default:
		*last = Try{
			Hop: hop, User: w.user(), Sent: w.ago(), At: w.now, Refused: w.dice.IntN(4) == 0, Unreachable: w.dice.IntN(12) == 0,
			Core: w.dice.IntN(4) == 0, Final: w.dice.IntN(6) == 0,
		}
		v, all := p.Failed(*last)
		verdict("failed", v, all)
	}
	for _, n := range notices {
		if n.Kind == Settled {
			w.say("settled %q", n.Hop)
			continue
		}
		w.say("%s %q %s at %s since %s, %d watchers, %s at %s", n.Kind, n.Hop, n.Reason, offset(n.Record.At), offset(n.Since), n.Watchers, n.Why, offset(n.At))
	}
}

func (w *walk) askPaths(p *Paths) {
	w.answer("next", offset(p.Next()))
	var holds []string
	for _, h := range p.Holds() {
		holds = append(holds, fmt.Sprintf("%q %s", h.Hop, h.Reason))
	}
	w.answer("holds", holds)
	w.answer("any, deserted", fmt.Sprint(p.Any(), p.Deserted(w.now)))
	for _, hop := range slices.Concat(walkHops, []string{""}) {
		w.answer(fmt.Sprintf("%q", hop), fmt.Sprintf("held %t by %q known %t ended %s", p.Held(hop), p.JudgedBy(hop), p.Knows(hop), offset(p.Ended(hop))))
	}
}

// Where the bits run out, every failure has a vote.
func TestVotersBeyondTheBitmap(t *testing.T) {
	var w window
	for user := range uint64(5 * watcherBits) {
		w.fail(1, &Try{Sent: dawn, User: user})
	}
	if b := w.sum(1); b.voters() != 5*watcherBits {
		t.Errorf("%d voters of %d", b.voters(), 5*watcherBits)
	}
}
