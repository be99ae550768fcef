package outage

import "time"

// Limits are the limits of [Paths]. Zero fields get the default that is named.
type Limits struct {
	// Off: every failure speaks against its user. It is for comparisons.
	Off bool
	// Ratio is the share of failing users in Window above which a hop is held though
	// some get through (0.5). From 1 on, it never is.
	Ratio  float64
	Window time.Duration // 10s; at least 10ns
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
	l.Window = max(orElse(l.Window, 10*time.Second), buckets)
	l.MinWatchers = min(orElse(l.MinWatchers, 10), maxWatchers)
	l.Quiet = orElse(l.Quiet, 28*time.Second)
	l.AskTimeout = orElse(l.AskTimeout, 10*time.Second)
	l.Gone = orElse(l.Gone, 10*time.Minute)
	l.ProbeMin = orElse(l.ProbeMin, time.Second)
	l.ProbeMax = max(orElse(l.ProbeMax, 2*time.Second), l.ProbeMin)
	l.MaxHops = orElse(l.MaxHops, 1024)
	return l
}

// maxWatchers is what the bitmaps of a window can tell apart with certainty.
const maxWatchers = 512

// orElse returns v, or otherwise where v was not given.
func orElse[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}
