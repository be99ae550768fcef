package recovery

import (
	"time"

	"rewatch/dialogs/count"
	"rewatch/policy"
)

// Some users are signed out, register again at once, and are given up again:
// a phone that registers but cannot take a NOTIFY. Signing such a user out each
// time helps nobody and costs the core a registration each time, so every further
// time he is left alone for longer.

const (
	// flapWindow is how soon after a sign-out being given up again is flapping.
	flapWindow = time.Hour
	// longestHoldDown bounds what doubles.
	longestHoldDown = 4 * time.Hour
	// maxFlaps bounds those who are remembered, in each shard.
	maxFlaps = 4096
	// flapLookup bounds a look-up of what other replicas know.
	flapLookup = time.Second
)

// flap is a user who was signed out lately.
type flap struct {
	Last  time.Time `json:"last"`
	Times int       `json:"times"` // in a row
	// Until is when he may be signed out who was given up since, in this episode.
	Until   time.Time `json:"until,omitzero"`
	Episode uint64    `json:"episode,omitempty"`
}

// over is when it means nothing any more.
func (f flap) over() time.Time { return f.Last.Add(flapWindow + longestHoldDown) }

// flapped notes that a user was signed out.
func (e *Engine) flapped(aor string, now time.Time) {
	f := e.flapOf(aor)
	if now.Sub(f.Last) > flapWindow+e.doubled(f.Times) {
		f.Times = 0
	}
	e.setFlap(aor, flap{Last: now, Times: f.Times + 1}, now)
}

// flapOf tells when a user was signed out, here or at another replica.
func (e *Engine) flapOf(aor string) flap {
	sh := e.shard(aor)
	sh.mu.Lock()
	f := sh.flaps[aor]
	sh.mu.Unlock()
	if e.journal != nil {
		if other := e.lookUpFlap(aor); other.Last.After(f.Last) {
			return other
		}
	}
	return f
}

func (e *Engine) setFlap(aor string, f flap, now time.Time) {
	sh := e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, known := sh.flaps[aor]; !known && len(sh.flaps) >= maxFlaps && !sh.forgetFlaps(now) {
		e.metrics.forgotten[count.ForgottenFlap].Inc()
		return
	}
	sh.flaps[aor] = f
	if e.noting {
		sh.flapNotes[aor] = struct{}{}
	}
}

// forgetFlaps makes room, and says whether it did.
func (sh *engineShard) forgetFlaps(now time.Time) bool {
	for aor, f := range sh.flaps {
		if now.After(f.over()) {
			delete(sh.flaps, aor)
		}
	}
	return len(sh.flaps) < maxFlaps
}

// heldDown is how long a user is spared because he flaps. A restart meanwhile makes it
// no longer.
func (e *Engine) heldDown(aor string, a policy.Action) time.Duration {
	f, now := e.flapOf(aor), time.Now()
	switch {
	case a.Try > 1:
		return 0
	case !f.Until.IsZero() && f.Episode == a.Episode:
		return f.Until.Sub(now)
	case now.Sub(f.Last) > flapWindow:
		return 0
	}
	wait := e.doubled(f.Times)
	f.Until, f.Episode = now.Add(wait), a.Episode
	e.setFlap(aor, f, now)
	e.metrics.flaps.Inc()
	e.about(aor, a).Warn().Int("times", f.Times).Dur("hold_down_ms", wait).
		Msg("user flaps between registration and giving up; not signed out for a while")
	e.note(aor, atRewatch, atRewatch, "flapping: not de-registered for "+wait.String())
	return wait
}

// doubled is the hold-down after so many sign-outs in a row.
func (e *Engine) doubled(times int) time.Duration {
	if times == 0 {
		return 0
	}
	wait := e.cfg.HoldDown
	for ; times > 1 && wait < longestHoldDown; times-- {
		wait *= 2
	}
	return min(wait, longestHoldDown)
}
