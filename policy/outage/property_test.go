package outage_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rewatch/policy/outage"
)

// history remembers every outcome, which a Detector must not, and so knows
// whether a hold was justified.
type history struct {
	*scene
	rules    outage.Rules
	outcomes []outage.Outcome
}

func drawHistory(t *rapid.T) *history {
	r := outage.Rules{
		Ratio:       rapid.SampledFrom([]float64{0.2, 0.5, 0.9}).Draw(t, "ratio"),
		MinFailures: rapid.IntRange(1, 30).Draw(t, "min failures"),
		MinWatchers: rapid.IntRange(1, 15).Draw(t, "min watchers"),
		MaxHops:     rapid.IntRange(1, 4).Draw(t, "max hops"),
	}
	h := &history{scene: newScene(r)}
	h.rules = h.Rules()
	return h
}

// step lets a few NOTIFYs end, or time pass.
func (h *history) step(t *rapid.T) {
	h.tick(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
	hop := fmt.Sprint("hop-", rapid.IntRange(0, 5).Draw(t, "hop"))
	switch rapid.IntRange(0, 9).Draw(t, "what") {
	case 0:
		h.changes = append(h.changes, h.Unreachable(h.now, hop)...)
	case 1:
		for _, p := range h.Holds() {
			h.changes = append(h.changes, h.Probed(h.now, p.Scope, rapid.Bool().Draw(t, "answered"))...)
		}
	case 2, 3:
		for range rapid.IntRange(1, 10).Draw(t, "passed") {
			h.observe(t, hop, 0, true)
		}
	default:
		first := rapid.IntRange(0, 40).Draw(t, "watcher")
		for i := range rapid.IntRange(1, 30).Draw(t, "failed") {
			h.observe(t, hop, first+i, false)
		}
	}
}

func (h *history) observe(t *rapid.T, hop string, watcher int, ok bool) {
	o := outage.Outcome{
		At: h.now, Sent: h.now, Hop: hop, Watcher: uint64(watcher), OK: ok, //nolint:gosec // not negative
	}
	h.outcomes = append(h.outcomes, o)
	changes := h.Observe(o)
	for _, c := range changes {
		if c.From == outage.Closed && c.Reason == outage.ReasonRatio {
			h.justified(t, c)
		}
	}
	h.changes = append(h.changes, changes...)
}

// justified: enough failures of enough watchers were really there.
func (h *history) justified(t *rapid.T, c outage.Change) {
	failed := 0
	watchers := make(map[uint64]bool)
	for _, o := range h.outcomes {
		if !o.OK && o.At.After(h.now.Add(-h.rules.Window)) && (c.Scope == outage.Overall || c.Scope == o.Hop) {
			failed++
			watchers[o.Watcher] = true
		}
	}
	if failed < h.rules.MinFailures || len(watchers) < h.rules.MinWatchers {
		t.Fatalf("held %q after %d failures of %d watchers", c.Scope, failed, len(watchers))
	}
}

func TestNeverHoldsForTooFew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			h.step(t)
		}
	})
}

// Every change starts where the last one of its scope ended, and Held follows.
func TestChangesAreAStory(t *testing.T) { rapid.Check(t, story) }

func story(t *rapid.T) {
	h := drawHistory(t)
	state := make(map[string]outage.State)
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		h.step(t)
		for _, c := range h.changes {
			if c.From != state[c.Scope] || c.From == c.To || c.At.After(h.now) || c.Since.After(c.At) {
				t.Fatalf("%+v from %s", c, state[c.Scope])
			}
			state[c.Scope] = c.To
		}
		h.changes = nil
		held := 0
		for scope, s := range state {
			if s != outage.Closed {
				held++
				if !h.Held(scope) {
					t.Fatalf("%q is %s, but not held", scope, s)
				}
			}
		}
		if held != len(h.Holds()) || (held > 0) != h.Any() || held > 0 && h.Next().IsZero() || held > h.rules.MaxHops+1 {
			t.Fatalf("%d scopes held, listed %+v, next tick %s", held, h.Holds(), h.Next())
		}
	}
}

func TestAnOutageIsNoticedSoon(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		h.ok("hop-0", rapid.IntRange(0, 100_000).Draw(t, "healthy"))
		h.pass(h.rules.Window + time.Duration(rapid.IntRange(0, 9999).Draw(t, "ms"))*time.Millisecond)
		start := uint64(rapid.Uint32().Draw(t, "watchers")) << 20
		for i := range uint64(2*h.rules.MinFailures + h.rules.MinWatchers) { //nolint:gosec // positive
			h.Observe(outage.Outcome{At: h.now, Sent: h.now, Hop: "hop-0", Watcher: start + i})
		}
		if !h.Held("hop-0") {
			t.Fatal("not held")
		}
	})
}

// Whatever has happened, without a hold there is nothing to be done after a while.
func TestComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			h.step(t)
		}
		h.tick(2 * h.rules.Window)
		if !h.Any() && !h.Next().IsZero() {
			t.Fatalf("next tick %s", h.Next())
		}
	})
}

// Whatever has happened, when everything passes every hold ends.
func TestSuccessReleases(t *testing.T) { rapid.Check(t, release) }

func release(t *rapid.T) {
	h := drawHistory(t)
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		h.step(t)
	}
	for range 4 { // the trial under way may fail yet, and the silent one is long
		for i := range 6 {
			h.ok(fmt.Sprint("hop-", i), 1000)
		}
		h.tick(h.rules.TrialMax)
	}
	if holds := h.Holds(); len(holds) > 0 {
		t.Fatalf("held on: %+v", holds)
	}
}

func BenchmarkPassed(b *testing.B) {
	d := outage.New(outage.Rules{})
	at := dawn
	for b.Loop() {
		at = at.Add(10 * time.Microsecond)
		d.Passed(at, "10.0.0.1:5060", 1)
	}
}

func BenchmarkFailed(b *testing.B) {
	d := outage.New(outage.Rules{Ratio: 2})
	at := dawn
	var n uint64
	for b.Loop() {
		at = at.Add(10 * time.Microsecond)
		n++
		d.Observe(outage.Outcome{At: at, Sent: at, Hop: "10.0.0.1:5060", Watcher: n})
	}
}
