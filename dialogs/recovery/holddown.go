package recovery

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"rewatch/dialogs/count"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// Some users are signed out, register again at once, and are given up again:
// a phone that registers but cannot take a NOTIFY. Signing such a user out each
// time helps nobody and costs the core a registration each time, so every further
// time they are left alone for longer.

const (
	// flapWindow is how soon after a sign-out being given up again is flapping.
	flapWindow = time.Hour
	// longestHoldDown bounds what doubles.
	longestHoldDown = 4 * time.Hour
	// maxFlaps bounds those who are remembered.
	maxFlaps = 1 << 18
	// flapLookup bounds a look-up of what other replicas know.
	flapLookup = time.Second
)

// flap is a user who was signed out lately.
type flap struct {
	Last  time.Time `json:"last"`
	Times int       `json:"times"` // in a row
	// Until is when they may be signed out who was given up since, in this episode.
	Until   time.Time `json:"until,omitzero"`
	Episode uint64    `json:"episode,omitempty"`
}

// over is when it means nothing any more.
func (f flap) over() time.Time { return f.Last.Add(flapWindow + longestHoldDown) }

// flaps are the users who were signed out lately.
type flaps struct {
	e *Engine

	mu    sync.Mutex
	users map[string]flap
	notes map[string]struct{} // those who wait for the Journal
}

// signedOut notes that a user was signed out.
func (fs *flaps) signedOut(aor string, now time.Time) {
	f := fs.of(aor)
	if now.Sub(f.Last) > flapWindow+fs.doubled(f.Times) {
		f.Times = 0
	}
	fs.set(aor, flap{Last: now, Times: f.Times + 1}, now)
}

// of tells when a user was signed out, here or at another replica.
func (fs *flaps) of(aor string) flap {
	fs.mu.Lock()
	f := fs.users[aor]
	fs.mu.Unlock()
	if fs.e.journal != nil {
		if other := fs.lookUp(aor); other.Last.After(f.Last) {
			return other
		}
	}
	return f
}

func (fs *flaps) set(aor string, f flap, now time.Time) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if _, known := fs.users[aor]; !known && len(fs.users) >= maxFlaps && !fs.forget(now) {
		fs.e.metrics.forgotten[count.ForgottenFlap].Inc()
		return
	}
	fs.users[aor] = f
	if fs.e.noting {
		fs.notes[aor] = struct{}{}
	}
}

// forget makes room, and says whether it did; fs is locked.
func (fs *flaps) forget(now time.Time) bool {
	for aor, f := range fs.users {
		if now.After(f.over()) {
			delete(fs.users, aor)
		}
	}
	return len(fs.users) < maxFlaps
}

// heldDown is how long a user is spared because they flap. A restart meanwhile makes it
// no longer.
func (fs *flaps) heldDown(aor string, a policy.Action) time.Duration {
	f, now := fs.of(aor), time.Now()
	switch {
	case a.Try > 1:
		return 0
	case !f.Until.IsZero() && f.Episode == a.Episode:
		return f.Until.Sub(now)
	case now.Sub(f.Last) > flapWindow:
		return 0
	}
	wait := fs.doubled(f.Times)
	f.Until, f.Episode = now.Add(wait), a.Episode
	fs.set(aor, f, now)
	fs.e.metrics.flaps.Inc()
	fs.e.about(aor, a).Warn().Int("times", f.Times).Dur("hold_down_ms", wait).
		Msg("user flaps between registration and giving up; not signed out for a while")
	fs.e.note(aor, atRewatch, atRewatch, "flapping: not de-registered for "+wait.String())
	return wait
}

// doubled is the hold-down after so many sign-outs in a row.
func (fs *flaps) doubled(times int) time.Duration {
	if times == 0 {
		return 0
	}
	wait := fs.e.cfg.HoldDown
	for ; times > 1 && wait < longestHoldDown; times-- {
		wait *= 2
	}
	return min(wait, longestHoldDown)
}

// lookUp reads what all replicas together know; nothing if that cannot be told.
func (fs *flaps) lookUp(aor string) flap {
	ctx, cancel := context.WithTimeout(context.Background(), flapLookup)
	defer cancel()
	entry, ok, err := fs.e.journal.Read(ctx, store.KindFlap, aor)
	if err != nil || !ok {
		return flap{}
	}
	f, _ := readFlap(entry)
	return f
}

func readFlap(entry store.Entry) (f flap, ok bool) {
	return f, json.Unmarshal(entry.Value, &f) == nil && f.Times > 0
}

// restore takes up what an earlier process has kept of a user.
func (fs *flaps) restore(entry store.Entry, now time.Time) bool {
	f, ok := readFlap(entry)
	if !ok || now.After(f.over()) {
		return false
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.users) < maxFlaps {
		fs.users[entry.Key] = f
	}
	return true
}

// collect makes the entries of those who are noted.
func (fs *flaps) collect(batch []store.Entry) []store.Entry {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for aor := range fs.notes {
		f := fs.users[aor]
		batch = append(batch, store.Entry{Kind: store.KindFlap, Key: aor}.With(f, f.over()))
	}
	clear(fs.notes)
	return batch
}

func (fs *flaps) unwritten() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return len(fs.notes)
}
