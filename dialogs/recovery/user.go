package recovery

import (
	"sync"
	"time"

	"rewatch/dialogs/recovery/queue"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

const engineShards = 64

// engineShard has the state of some of the users.
type engineShard struct {
	mu    sync.Mutex
	users map[string]*engineUser
	due   deadlines
	// dirty are the users with changes that the writer has not seen; each is in
	// it at most once. changed wakes the writer.
	dirty   []*engineUser
	changed chan struct{}
	// lost are the users whose subscriptions an outage broke, until it is over; those in
	// lostNotes wait for the Journal.
	lost      map[string]*lostWatcher
	lostNotes map[string]struct{}
	// queued counts the users that were handed to the writer, done those that it has finished;
	// barriers wait for a number of them, the lowest first.
	queued, done uint64
	barriers     []barrier
}

// engineUser is one user. The lock of the shard guards all of it.
type engineUser struct {
	aor     string
	state   policy.State
	size    int    // in bytes, as it is counted in Engine.bytes
	version uint64 // of the record in the store; 0: there is none
	// changes were decided and are not saved yet. There are few: the writer
	// takes all of them at once, and an event that changes nothing is no change.
	changes []change
	dirty   bool
	// dry: a dry run has decided about the user.
	dry bool
	// saving: the writer is saving the user; unsaved: the store did not take it.
	saving, unsaved bool
	// unreadable: what the store has of the user was written by another version of rewatch.
	unreadable bool
	// foreign: another replica saved the user last, and acts for it.
	foreign bool
	// messaging and signingOut: a MESSAGE or de-REGISTER is queued or in flight
	// here, so its outcome is sure to come.
	messaging, signingOut bool
	// While the user's next hop is held, parked says that a Tick is kept back, and jobs are
	// the requests that are kept back.
	parked bool
	jobs   []keptJob
	// ahead: the recovery goes on though the hop is held. hop is the one that the user is
	// reached over instead of the one that failed; empty: none is known.
	ahead bool
	hop   string
	// A Tick is not due before notBefore, after a hold. signOut queues a de-REGISTER that is
	// put off until signOutAt.
	notBefore, signOutAt time.Time
	signOut              func()
	// wake is when a Tick is due; place is where the heap has it.
	wake  time.Time
	place int
}

// change is one decision on its way to the store and into the world.
type change struct {
	event    policy.Event
	from, to policy.Phase
	sent     int
	actions  []policy.Action
	// turn receives, once the state is saved, whether a request may be sent; nil: nobody asks.
	turn chan<- bool
}

// decide lets the policy decide on an event. The shard is locked.
func (e *Engine) decide(sh *engineShard, u *engineUser, ev policy.Event) {
	next, actions := policy.Decide(e.cfg.rulesFor(u.aor), u.state, ev)
	if !next.Equal(u.state) || len(actions) > 0 {
		e.ladders.Follow(u.aor, u.state, next, ev, actions, e.cfg.Rules.Threshold)
		u.changes = append(u.changes, change{event: ev, from: u.state.Phase, to: next.Phase, sent: next.Sent, actions: actions})
		switch {
		case !next.Deadline.Equal(u.state.Deadline):
			u.notBefore = time.Time{} // it was about the earlier deadline
		case u.foreign && !next.Deadline.IsZero():
			u.notBefore = next.Deadline.Add(skew) // the deadline is by the clock of another replica
		}
		u.foreign, u.dry = false, u.dry || e.cfg.DryRun.On()
		e.replace(u, next)
		sh.touch(u)
	}
	e.schedule(sh, u, u.state.Deadline)
}

// replace sets the state of a user, and the counts that the SIP path asks for.
func (e *Engine) replace(u *engineUser, next policy.State) {
	e.active.Add(one(next.Active()) - one(u.state.Active()))
	e.bans.Add(one(!next.BannedUntil.IsZero()) - one(!u.state.BannedUntil.IsZero()))
	u.state = next
	e.room.weigh(u)
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// touch hands a user to the writer. The shard is locked.
func (sh *engineShard) touch(u *engineUser) {
	if !u.dirty {
		u.dirty = true
		sh.dirty = append(sh.dirty, u)
		sh.queued++
	}
	queue.Signal(sh.changed)
}

// locked does something under the lock of the shard.
func (sh *engineShard) locked(do func()) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	do()
}

// with does something with a user under the lock of its shard; nothing if no such user is known.
func (e *Engine) with(aor string, do func(sh *engineShard, u *engineUser)) {
	sh := e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if u := sh.users[aor]; u != nil {
		do(sh, u)
	}
}

// each yields every shard under its lock.
func (e *Engine) each(yield func(sh *engineShard) bool) {
	more := true
	for i := 0; more && i < len(e.shards); i++ {
		sh := &e.shards[i]
		sh.locked(func() { more = yield(sh) })
	}
}

// add makes a user known.
func (e *Engine) add(sh *engineShard, u *engineUser) {
	sh.users[u.aor] = u
	e.known.Add(1)
	e.room.weigh(u)
}

// forget drops a user of which nothing has to be remembered.
func (e *Engine) forget(sh *engineShard, u *engineUser) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if u.dirty || u.saving || u.messaging || u.signingOut || u.version != 0 || !u.state.Forgettable() {
		return
	}
	if sh.users[u.aor] == u {
		delete(sh.users, u.aor)
		e.known.Add(-1)
		e.bytes.Add(-int64(u.size))
	}
	e.schedule(sh, u, time.Time{})
}

// settle tells the policy the outcome of a request of rewatch's own.
func (e *Engine) settle(aor string, ev policy.Event) {
	ev.At = time.Now()
	e.with(aor, func(sh *engineShard, u *engineUser) {
		u.ahead = false
		if ev.Kind == policy.MessageDone {
			u.messaging = false
		} else {
			u.signingOut = false
		}
		e.decide(sh, u, ev)
		sh.touch(u) // it may have been kept only for the outcome
	})
}

// restore makes a user known as the store has it. It is false if the user is known already: an
// event may have come first, whose Save finds the conflict.
func (e *Engine) restore(r store.Record) bool {
	sh := e.shard(r.AOR)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.users[r.AOR] != nil || r.State.Forgettable() {
		return false
	}
	u := &engineUser{aor: r.AOR, version: r.Version, foreign: r.Foreign, place: unplaced}
	e.add(sh, u)
	e.replace(u, r.State)
	e.ladders.Resume(r.AOR, r.State, e.cfg.Rules.Threshold)
	e.schedule(sh, u, r.State.Deadline)
	return true
}

// rememberedAlarm is an alarm as a state remembers it.
type rememberedAlarm struct {
	policy.Action
	At time.Time
}

// remembered are the alarms that a state has raised.
func remembered(s policy.State) []rememberedAlarm {
	var all []rememberedAlarm
	for _, a := range []struct {
		raised bool
		name   string
		at     time.Time
	}{
		{s.Alarm, policy.AlarmExhausted, s.AlarmAt},
		{s.BanAlarm, policy.AlarmBanned, s.BanAlarmAt},
		{s.DeregisterAlarm, policy.AlarmDeregisterFailed, s.DeregisterAlarmAt},
	} {
		if a.raised {
			all = append(all, rememberedAlarm{policy.Action{
				Kind: policy.RaiseAlarm, Alarm: a.name, Episode: s.Episode,
				Attempt: s.Sent, Broken: s.Broken, More: s.More,
			}, a.at})
		}
	}
	return all
}
