package recovery

import (
	"sync"
	"time"

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
	// lost are those whom an outage broke, until it is over; those in lostNotes wait
	// for the Journal.
	lost      map[string]*lostWatcher
	lostNotes map[string]struct{}
	// queued numbers the users that were handed to the writer, done those that it is
	// done with; barriers wait for a number, the lowest first.
	queued, done uint64
	barriers     []barrier
}

// engineUser is one user. The lock of the shard guards all of it.
type engineUser struct {
	aor     string
	state   policy.State
	size    int    // that the user takes, as it is counted in Engine.bytes
	version uint64 // of the record in the store; 0: there is none
	// changes were decided and are not saved yet. There are few: the writer
	// takes all of them at once, and an event that changes nothing is no change.
	changes []change
	dirty   bool
	// dry: a dry run has decided about the user.
	dry bool
	// saving: the writer has them; unsaved: the store would not take them.
	saving, unsaved bool
	// unreadable: what the store has of the user is of another version of rewatch.
	unreadable bool
	// foreign: another replica saved the user last, and acts for them.
	foreign bool
	// messaging and signingOut: a MESSAGE or de-REGISTER is queued or in flight
	// here, so its outcome is sure to come.
	messaging, signingOut bool
	// While their next hop is held, parked says that a Tick is kept back, and jobs
	// are the requests that are.
	parked bool
	jobs   []keptJob
	// ahead: it goes on though its hop is held. hop is the one that it is reached by
	// instead of that which failed; empty: it is not known to be.
	ahead bool
	hop   string
	// notBefore keeps a Tick back when the hold is over; signOut is a de-REGISTER
	// that may not be sent before signOutAt.
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
	// turn is told, once the state is saved, whether a request may be sent; nil: nobody
	// asks.
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
			u.notBefore = time.Time{} // it was about the one that is overtaken
		case u.foreign && !next.Deadline.IsZero():
			u.notBefore = next.Deadline.Add(skew) // it is by another's clock
		}
		u.foreign, u.dry = false, u.dry || e.cfg.DryRun.On()
		e.replace(u, next)
		sh.touch(u)
	}
	e.schedule(sh, u, u.state.Deadline)
}

// replace sets a user's state, and keeps the counts that the SIP path asks.
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

// touch hands a user to the writer.
func (sh *engineShard) touch(u *engineUser) {
	if !u.dirty {
		u.dirty = true
		sh.dirty = append(sh.dirty, u)
		sh.queued++
	}
	select {
	case sh.changed <- struct{}{}:
	default: // it is awake already
	}
}

// add makes a user known.
func (e *Engine) add(sh *engineShard, u *engineUser) {
	sh.users[u.aor] = u
	e.known.Add(1)
	e.room.weigh(u)
}

// forget drops a user of whom nothing is left to be remembered.
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

// settle feeds back the outcome of a request of our own.
func (e *Engine) settle(aor string, ev policy.Event) {
	ev.At = time.Now()
	sh := e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[aor]
	if u == nil {
		return
	}
	u.ahead = false
	if ev.Kind == policy.MessageDone {
		u.messaging = false
	} else {
		u.signingOut = false
	}
	e.decide(sh, u, ev)
	sh.touch(u) // it may have been kept only for the outcome
}

// restore makes a user known as the store remembers them, and says whether they were
// not known before: an event may have come first, whose save finds the conflict.
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

// resume has the recovery of a user go on whom an earlier process left behind, and
// returns their state.
func (e *Engine) resume(aor string) policy.State {
	e.Offer(aor, policy.Event{Kind: policy.Resumed, At: time.Now()})
	s, _ := e.look(aor)
	return s
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
