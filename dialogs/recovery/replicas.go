package recovery

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rewatch/dialogs/recovery/queue"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// Replicas share a store. Each replica knows the state of every user, whichever replica saved
// it: a ban is in force at all of them, and each recognises the SUBSCRIBE that follows the
// MESSAGE of another one. The replica that saved a user last acts for it. The others wait a
// little longer, and take over if that replica is gone.

const (
	// takeOver is how much later than its deadline a user's Tick is due at a
	// replica that did not save them last.
	takeOver = skew + 3*time.Second
	// skew is how far the clocks of two replicas may be apart.
	skew = time.Minute
	// catchUpPause is the pause before a user is loaded again that was just being saved here,
	// or could not be loaded.
	catchUpPause = 5 * time.Millisecond
	// resyncPause is the pause before all users are compared with the store again, if the
	// store failed meanwhile.
	resyncPause = 500 * time.Millisecond
	// ownersTurn is how long the replica that acts for a user has to write it again into a
	// store that has lost it, before the others do, which may know less.
	ownersTurn = 5 * time.Second
	// pingEvery is how often the store is asked whether it is there.
	pingEvery = 2 * time.Second
)

// follower takes over what other replicas have saved. changed are the users that they have
// changed and that were not loaded yet.
type follower struct {
	e *Engine

	mu      sync.Mutex
	changed map[string]struct{}
	all     bool // a change was missed, so any user may have been changed
	wake    chan struct{}

	running sync.WaitGroup
	stop    context.CancelFunc
}

// start begins to follow the other replicas, if replicas share the store, and to ping the
// store.
func (f *follower) start(ctx context.Context) {
	f.wake = make(chan struct{}, 1)
	ctx, f.stop = context.WithCancel(ctx)
	f.running.Go(func() { f.keepAsking(ctx) })
	if !f.e.store.Shared() {
		return
	}
	f.running.Go(func() { f.catchUp(ctx) })
	f.running.Go(func() {
		if err := f.e.store.Watch(ctx, f.told, f.missed); err != nil {
			f.e.log.Error().Err(err).Msg("the other replicas cannot be followed")
		}
	})
}

// keepAsking pings the store, so that the administrator hears of a store that is away even if
// nothing has to be saved. If something waits to be saved, the next Save tells whether the
// store is back, otherwise the next ping.
func (f *follower) keepAsking(ctx context.Context) {
	for queue.Sleep(ctx, pingEvery) {
		bounded, cancel := context.WithTimeout(ctx, storeTimeout)
		err := f.e.store.Ping(bounded)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if f.e.alarms.storeFailed(err) {
				f.e.alarms.nothingWaits.Store(true)
			}
		case f.e.alarms.nothingWaits.Swap(false):
			f.e.alarms.storeBack()
		}
	}
}

// maxChanged bounds the users that are noted one by one; beyond it all users are compared.
const maxChanged = 100_000

// told notes that another replica has changed a user.
func (f *follower) told(aor string) {
	f.mu.Lock()
	if f.changed == nil {
		f.changed = make(map[string]struct{})
	}
	if f.changed[aor] = struct{}{}; len(f.changed) > maxChanged {
		f.changed, f.all = nil, true
	}
	f.mu.Unlock()
	queue.Signal(f.wake)
}

// missed notes that any user may have been changed.
func (f *follower) missed() {
	f.mu.Lock()
	f.all = true
	f.mu.Unlock()
	queue.Signal(f.wake)
}

func (f *follower) take() (changed map[string]struct{}, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed, all = f.changed, f.all
	f.changed, f.all = nil, false
	return changed, all
}

// catchUp takes over what the others have saved, until ctx ends.
func (f *follower) catchUp(ctx context.Context) {
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return
		}
		changed, all := f.take()
		pause := catchUpPause
		if all && !f.resync(ctx) {
			pause = resyncPause
			f.missed()
		}
		for aor := range changed {
			if !f.reload(ctx, aor) {
				f.told(aor)
			}
		}
		if !queue.Sleep(ctx, pause) { // what comes in a burst is read once
			return
		}
	}
}

// reload takes over what the store has of a user; false if that has to be tried again.
func (f *follower) reload(ctx context.Context, aor string) bool {
	before, busy := f.versionOf(aor)
	if busy {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := f.e.store.Load(ctx, aor)
	if errors.Is(err, store.ErrUnreadable) {
		return true // the replica that wrote it acts for the user
	}
	if err != nil {
		return false
	}
	return f.takeOver(r, before)
}

// versionOf says which version of a user is known here, and whether one is just
// being saved.
func (f *follower) versionOf(aor string) (version uint64, busy bool) {
	f.e.with(aor, func(_ *engineShard, u *engineUser) { version, busy = u.version, u.dirty || u.saving })
	return version, busy
}

// resync compares all users with the store, and writes again what the store has lost. It is
// false if the store failed meanwhile.
func (f *follower) resync(ctx context.Context) bool {
	known := make(map[string]uint64)
	for sh := range f.e.each {
		for aor, u := range sh.users {
			known[aor] = u.version
		}
	}
	for r, err := range f.e.store.All(ctx) {
		if err != nil {
			return false
		}
		if version, ok := known[r.AOR]; !ok || version != r.Version {
			f.told(r.AOR)
		}
		delete(known, r.AOR)
	}
	later := make(map[string]uint64)
	for aor, version := range known {
		if version != 0 && !f.saveLost(aor, version, false) {
			later[aor] = version
		}
	}
	if len(later) > 0 {
		f.running.Go(func() {
			if queue.Sleep(ctx, ownersTurn) {
				for aor, version := range later {
					f.saveLost(aor, version, true)
				}
			}
		})
	}
	f.e.alarms.storeBack()
	return true
}

// saveLost has a user saved that the store did not have. The store says then whether the user
// was deleted or lost. It is false if another replica acts for the user, unless borrowed says
// that the state is to be saved all the same.
func (f *follower) saveLost(aor string, version uint64, borrowed bool) bool {
	ours := true
	f.e.with(aor, func(sh *engineShard, u *engineUser) {
		switch {
		case u.version != version:
		case u.foreign && !borrowed:
			ours = false
		default:
			sh.touch(u)
		}
	})
	return ours
}

// takeOver makes what another replica has saved the state here, unless something
// happened here since the version before.
func (f *follower) takeOver(r store.Record, before uint64) bool {
	sh := f.e.shard(r.AOR)
	sh.mu.Lock()
	u := sh.users[r.AOR]
	switch {
	case u == nil && (r.Version == 0 || r.State.Forgettable()):
		sh.mu.Unlock()
		return true
	case u == nil && f.e.known.Load() >= int64(f.e.cfg.MaxUsers):
		sh.mu.Unlock()
		f.e.metrics.dropped.Inc()
		return true
	case u == nil:
		u = &engineUser{aor: r.AOR, place: unplaced}
		f.e.add(sh, u)
	case u.dirty, u.saving, u.version != before:
		sh.mu.Unlock()
		return false
	case u.unsaved, u.version == r.Version:
		// What could not be saved is merged when the store takes it.
		sh.mu.Unlock()
		return true
	}
	old := u.state
	f.e.replace(u, r.State)
	u.version, u.foreign = r.Version, r.Foreign
	f.e.schedule(sh, u, r.State.Deadline)
	f.e.ladders.Align(u.aor, r.State)
	sh.mu.Unlock()
	f.followAlarms(u.aor, old, r.State)
	f.e.forget(sh, u)
	return true
}

// late is how much later than its deadline a user's Tick is due here. The shard is locked.
func (f *follower) late(u *engineUser) time.Duration {
	switch {
	case !u.foreign:
		return 0
	case u.state.Phase == policy.Notifying:
		// The MESSAGE may wait for its turn there.
		return f.e.cfg.Rules.MessageTimeout
	default:
		return takeOver
	}
}

// followAlarms raises and clears the alarms of a user as another replica has done, without
// telling the receivers again.
func (f *follower) followAlarms(aor string, old, now policy.State) {
	before, after := remembered(old), remembered(now)
	same := func(a rememberedAlarm) func(rememberedAlarm) bool {
		return func(b rememberedAlarm) bool { return a.Alarm == b.Alarm && a.At.Equal(b.At) }
	}
	for _, a := range before {
		if !slices.ContainsFunc(after, same(a)) {
			f.e.alarms.Release(a.Alarm, aor)
		}
	}
	for _, a := range after {
		if !slices.ContainsFunc(before, same(a)) {
			f.e.alarms.Adopt(f.e.alarms.alarmOf(aor, a.Action, a.At))
		}
	}
}

// Known says whether any state is remembered of a user.
func (e *Engine) Known(aor string) bool {
	if e.known.Load() == 0 {
		return false
	}
	_, known := e.look(aor)
	return known
}
