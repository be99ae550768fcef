package dialogs

import (
	"time"

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
)

// flap is a user who was signed out lately.
type flap struct {
	last  time.Time
	times int // in a row
}

// flapped notes that a user was signed out.
func (e *Engine) flapped(aor string, now time.Time) {
	sh := e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f, known := sh.flaps[aor]
	if !known && len(sh.flaps) >= maxFlaps && !sh.forgetFlaps(now) {
		e.metrics.forgotten[forgottenFlap].Inc()
		return
	}
	if now.Sub(f.last) > flapWindow+e.doubled(f.times) {
		f.times = 0
	}
	sh.flaps[aor] = flap{last: now, times: f.times + 1}
}

// forgetFlaps makes room, and says whether it did.
func (sh *engineShard) forgetFlaps(now time.Time) bool {
	for aor, f := range sh.flaps {
		if now.Sub(f.last) > flapWindow+longestHoldDown {
			delete(sh.flaps, aor)
		}
	}
	return len(sh.flaps) < maxFlaps
}

// heldDown is how long a user is spared because he flaps.
func (e *Engine) heldDown(sh *engineShard, u *engineUser, a policy.Action) time.Duration {
	sh.mu.Lock()
	f, known := sh.flaps[u.aor]
	sh.mu.Unlock()
	if !known || a.Try > 1 || time.Since(f.last) > flapWindow {
		return 0
	}
	wait := e.doubled(f.times)
	e.metrics.flaps.Inc()
	e.about(u.aor, a).Warn().Int("times", f.times).Dur("hold_down_ms", wait).
		Msg("user flaps between registration and giving up; not signed out for a while")
	e.note(u.aor, atRewatch, atRewatch, "flapping: not de-registered for "+wait.String())
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
