package recovery

import (
	"context"
	"slices"
	"sync"
	"time"

	"rewatch/dialogs/recovery/queue"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// Replicas share a store. Each of them knows every user of whom there is anything
// to know, whoever saved him: a ban is in force at all of them, and a SUBSCRIBE
// that comes to another replica than the MESSAGE went out from is known for what
// it is. Who saved a user last acts for him; the others wait a little longer than
// he would, and take over if he is no more.

const (
	// takeOver is how much later than its deadline a user's Tick is due at a
	// replica that did not save him last.
	takeOver = 3 * time.Second
	// catchUpPause is the pause before a user is looked at again who was busy, or
	// a store that failed.
	catchUpPause = 5 * time.Millisecond
	// ownersTurn is how long whoever acts for a user has to write him again into a
	// store that has lost him, before those do who may know less.
	ownersTurn = 5 * time.Second
	// pingEvery is how often the store is asked whether it is there.
	pingEvery = 2 * time.Second
)

// follower has the users whom other replicas have changed and who have not been
// looked at yet.
type follower struct {
	mu      sync.Mutex
	changed map[string]struct{}
	all     bool // something was missed
	wake    chan struct{}

	running sync.WaitGroup
	stop    context.CancelFunc
}

// follow begins to follow the other replicas, if the store is one that has any, and to
// ask the store how it is.
func (e *Engine) follow(ctx context.Context) {
	e.others.wake = make(chan struct{}, 1)
	ctx, e.others.stop = context.WithCancel(ctx)
	e.others.running.Go(func() { e.keepAsking(ctx) })
	if !e.store.Shared() {
		return
	}
	e.others.running.Go(func() { e.catchUp(ctx) })
	e.others.running.Go(func() {
		if err := e.store.Watch(ctx, e.others.told, e.others.missed); err != nil {
			e.log.Error().Err(err).Msg("the other replicas cannot be followed")
		}
	})
}

// keepAsking tells of a store that is away even while nothing has to be saved: the
// administrator should know before it matters. That it is there again it tells only
// if nothing waits to be saved: then whoever saves it does.
func (e *Engine) keepAsking(ctx context.Context) {
	for queue.Sleep(ctx, pingEvery) {
		bounded, cancel := context.WithTimeout(ctx, storeTimeout)
		err := e.store.Ping(bounded)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if e.storeFailed("", err) {
				e.nothingWaits.Store(true)
			}
		case e.nothingWaits.Swap(false):
			e.storeBack()
		}
	}
}

// maxChanged bounds the users that are noted one by one; beyond it all are looked at.
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
	f.nudge()
}

// missed notes that anybody may have been changed.
func (f *follower) missed() {
	f.mu.Lock()
	f.all = true
	f.mu.Unlock()
	f.nudge()
}

func (f *follower) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *follower) take() (changed map[string]struct{}, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed, all = f.changed, f.all
	f.changed, f.all = nil, false
	return changed, all
}

// catchUp is the goroutine that takes over what the others have saved.
func (e *Engine) catchUp(ctx context.Context) {
	for {
		select {
		case <-e.others.wake:
		case <-ctx.Done():
			return
		}
		changed, all := e.others.take()
		if all && !e.resync(ctx) {
			e.others.missed()
		}
		for aor := range changed {
			if !e.reload(ctx, aor) {
				e.others.told(aor)
			}
		}
		if !queue.Sleep(ctx, catchUpPause) { // what comes in a burst is read once
			return
		}
	}
}

// reload takes over what the store has of a user; false if he has to be looked at again.
func (e *Engine) reload(ctx context.Context, aor string) bool {
	before, busy := e.versionOf(aor)
	if busy {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := e.store.Load(ctx, aor)
	if err != nil {
		return false
	}
	return e.takeOver(r, before)
}

// versionOf says which version of a user is known here, and whether one is just
// being saved.
func (e *Engine) versionOf(aor string) (version uint64, busy bool) {
	sh := e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[aor]
	if u == nil {
		return 0, false
	}
	return u.version, u.dirty || u.saving
}

// resync compares everybody with the store. What it has lost is written again.
func (e *Engine) resync(ctx context.Context) bool {
	known := make(map[string]uint64)
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for aor, u := range sh.users {
			known[aor] = u.version
		}
		sh.mu.Unlock()
	}
	for r, err := range e.store.All(ctx) {
		if err != nil {
			return false
		}
		if version, ok := known[r.AOR]; !ok || version != r.Version {
			e.others.told(r.AOR)
		}
		delete(known, r.AOR)
	}
	later := make(map[string]uint64)
	for aor, version := range known {
		if version != 0 && !e.saveLost(aor, version, false) {
			later[aor] = version
		}
	}
	if len(later) > 0 {
		e.others.running.Go(func() {
			if queue.Sleep(ctx, ownersTurn) {
				for aor, version := range later {
					e.saveLost(aor, version, true)
				}
			}
		})
	}
	e.storeBack()
	return true
}

// saveLost has a user saved whom the store did not have. Whether he was deleted or
// lost, the store says then. It is false for one for whom another replica acts,
// unless his state is to be saved all the same.
func (e *Engine) saveLost(aor string, version uint64, borrowed bool) bool {
	sh := e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[aor]
	if u == nil || u.version != version {
		return true
	}
	if u.borrowed && !borrowed {
		return false
	}
	sh.touch(u)
	return true
}

// takeOver makes what another replica has saved the state here, unless something
// happened here since the version before.
func (e *Engine) takeOver(r store.Record, before uint64) bool {
	sh := e.shard(r.AOR)
	sh.mu.Lock()
	u := sh.users[r.AOR]
	switch {
	case u == nil && (r.Version == 0 || r.State.Forgettable()):
		sh.mu.Unlock()
		return true
	case u == nil && e.known.Load() >= int64(e.cfg.MaxUsers):
		sh.mu.Unlock()
		e.metrics.dropped.Inc()
		return true
	case u == nil:
		u = &engineUser{aor: r.AOR, place: unplaced}
		e.add(sh, u)
	case u.dirty, u.saving, u.version != before:
		sh.mu.Unlock()
		return false
	case u.unsaved, u.version == r.Version:
		// What could not be saved is joined with it when it can be.
		sh.mu.Unlock()
		return true
	}
	old := u.state
	e.replace(u, r.State)
	u.version, u.borrowed = r.Version, r.Foreign
	e.schedule(sh, u, r.State.Deadline)
	e.ladders.Align(u.aor, r.State)
	sh.mu.Unlock()
	e.followAlarms(u.aor, old, r.State)
	e.forget(sh, u)
	return true
}

// late is how much later than his deadline a user's Tick is due here. The shard is
// locked.
func (e *Engine) late(u *engineUser) time.Duration {
	switch {
	case !u.borrowed:
		return 0
	case u.state.Phase == policy.Notifying:
		// The MESSAGE may wait for its turn there.
		return e.cfg.Rules.MessageTimeout
	default:
		return takeOver
	}
}

// followAlarms does to the alarms of a user what another replica has done: it has
// told of them already.
func (e *Engine) followAlarms(aor string, old, now policy.State) {
	before, after := remembered(old), remembered(now)
	same := func(a rememberedAlarm) func(rememberedAlarm) bool {
		return func(b rememberedAlarm) bool { return a.Alarm == b.Alarm && a.At.Equal(b.At) }
	}
	for _, a := range before {
		if !slices.ContainsFunc(after, same(a)) {
			e.alarms.Release(a.Alarm, aor)
		}
	}
	for _, a := range after {
		if !slices.ContainsFunc(before, same(a)) {
			e.alarms.Adopt(e.alarmOf(aor, a.Action, a.At))
		}
	}
}

// Known says whether anything is remembered of a user.
func (e *Engine) Known(aor string) bool {
	if e.known.Load() == 0 {
		return false
	}
	_, known := e.look(aor)
	return known
}
