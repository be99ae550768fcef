package outage

import (
	"cmp"
	"time"
)

// Limits are the limits of [Paths]. A zero field stands for the default in brackets.
type Limits struct {
	// Off: every failure speaks against its user. It is for comparisons.
	Off bool
	// Ratio is the share of failing users in Window above which a hop is held though some
	// requests get through (0.5). From 1 on, no hop is held because of the share.
	Ratio  float64
	Window time.Duration // (10s), at least 10ns
	// MinWatchers is the least number of users that have to fail, for the share, and for a hold
	// of phones that are reached directly (10).
	MinWatchers int
	// Quiet is how long nothing may get through before failures that came at once, without a
	// silence, are the fault of the path (28s).
	Quiet time.Duration
	// AskTimeout is after what time an OPTIONS without a reported outcome has failed (10s).
	AskTimeout time.Duration
	// Gone is how long there has to be no traffic over a hop in either direction until it counts
	// as gone for good (10m).
	Gone time.Duration
	// ProbeMin and ProbeMax are the first and the longest pause between the OPTIONS to a hop
	// that is held (1s and 2s); the pause doubles each time.
	ProbeMin, ProbeMax time.Duration
	// MaxHops bounds the hops (1024). The users behind further hops are judged together.
	MaxHops int
}

func (l Limits) withDefaults() Limits {
	l.Ratio = cmp.Or(l.Ratio, 0.5)
	l.Window = max(cmp.Or(l.Window, 10*time.Second), buckets)
	l.MinWatchers = min(cmp.Or(l.MinWatchers, 10), maxWatchers)
	l.Quiet = cmp.Or(l.Quiet, 28*time.Second)
	l.AskTimeout = cmp.Or(l.AskTimeout, 10*time.Second)
	l.Gone = cmp.Or(l.Gone, 10*time.Minute)
	l.ProbeMin = cmp.Or(l.ProbeMin, time.Second)
	l.ProbeMax = max(cmp.Or(l.ProbeMax, 2*time.Second), l.ProbeMin)
	l.MaxHops = cmp.Or(l.MaxHops, 1024)
	return l
}

// maxWatchers is what the bitmaps of a window can tell apart with certainty.
const maxWatchers = 512
