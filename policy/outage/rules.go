package outage

import "time"

// Rules say what an outage is. Zero fields get the default that is named.
type Rules struct {
	// Ratio is the share of failing NOTIFYs in Window above which a scope is
	// held (0.5). From 1 on, only an unreachable hop is held.
	Ratio  float64
	Window time.Duration // 10s
	// MinFailures and MinWatchers are how many NOTIFYs, of how many different
	// watchers, have to fail in Window at least (20 and 10). Fewer say nothing
	// of a hop. MinWatchers is at most MinFailures.
	MinFailures, MinWatchers int
	// MaxHops bounds the hops that are judged by themselves (1024). What passes
	// over further ones counts in Overall alone.
	MaxHops int
	// ProbeMin and ProbeMax are the pauses between probes: the first and, doubled
	// with each, the longest (1s and 2s). Whoever is broken waits for it.
	ProbeMin, ProbeMax time.Duration
	// Trial is how long a scope is held on after the first sign of life (1s). It
	// doubles with each relapse, up to TrialMax (2m).
	Trial, TrialMax time.Duration
	// Relapse is how soon after a release a new hold is the same outage (5m).
	Relapse time.Duration
	// Silence is the trial after a relapse if probes are the only sign of life
	// (40s). It is longer than a NOTIFY takes to fail, so that the next trial
	// shows whether NOTIFYs pass as well.
	Silence time.Duration
	// Aftermath is how long after a release the core may still stumble (10s).
	Aftermath time.Duration
}

// maxWatchers is what the bitmaps of a window can tell apart with certainty.
const maxWatchers = 512

func (r Rules) withDefaults() Rules {
	if r.Ratio <= 0 {
		r.Ratio = 0.5
	}
	r.Window = orElse(r.Window, 10*time.Second)
	r.MinFailures = orElse(r.MinFailures, 20)
	r.MinWatchers = min(orElse(r.MinWatchers, 10), r.MinFailures, maxWatchers)
	r.MaxHops = orElse(r.MaxHops, 1024)
	r.ProbeMin = orElse(r.ProbeMin, time.Second)
	r.ProbeMax = max(orElse(r.ProbeMax, 2*time.Second), r.ProbeMin)
	r.Trial = orElse(r.Trial, time.Second)
	r.TrialMax = max(orElse(r.TrialMax, 2*time.Minute), r.Trial)
	r.Relapse = orElse(r.Relapse, 5*time.Minute)
	r.Silence = orElse(r.Silence, 40*time.Second)
	r.Aftermath = orElse(r.Aftermath, 10*time.Second)
	return r
}

// orElse returns v, or otherwise where v was not given.
func orElse[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Limits are the limits of [Paths]. Zero fields get the default that is named.
type Limits struct {
	// Off: every failure speaks against its user. It is for comparisons.
	Off bool
	// Ratio is the share of failing users in Window above which a hop is held though
	// some get through (0.5). From 1 on, it never is.
	Ratio  float64
	Window time.Duration // 10s
	// MinWatchers is how many users have to fail for that at least, or where they are
	// reached without a hop that they share (10).
	MinWatchers int
	// Quiet is how long nothing has to get through before failures that came at once
	// tell of the path (28s).
	Quiet time.Duration
	// AskTimeout is when an OPTIONS whose outcome was not told has failed (10s).
	AskTimeout time.Duration
	// Gone is how long nothing has to go over a hop, or come from it, until it seems to
	// be gone for good (10m).
	Gone time.Duration
	// ProbeMin and ProbeMax are the pauses between the OPTIONS to a hop that is held: the
	// first and, doubled with each, the longest (1s and 2s).
	ProbeMin, ProbeMax time.Duration
	// MaxHops bounds the hops (1024). Users behind further ones are judged together.
	MaxHops int
}

func (l Limits) withDefaults() Limits {
	if l.Ratio <= 0 {
		l.Ratio = 0.5
	}
	l.Window = orElse(l.Window, 10*time.Second)
	l.MinWatchers = min(orElse(l.MinWatchers, 10), maxWatchers)
	l.Quiet = orElse(l.Quiet, 28*time.Second)
	l.AskTimeout = orElse(l.AskTimeout, 10*time.Second)
	l.Gone = orElse(l.Gone, 10*time.Minute)
	l.ProbeMin = orElse(l.ProbeMin, time.Second)
	l.ProbeMax = max(orElse(l.ProbeMax, 2*time.Second), l.ProbeMin)
	l.MaxHops = orElse(l.MaxHops, 1024)
	return l
}
