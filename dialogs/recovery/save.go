package recovery

import (
	"context"
	"errors"
	"slices"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy"
)

const (
	// storeTimeout bounds one operation of the store.
	storeTimeout = 2 * time.Second
	// storeRetry is the pause before a store that failed is tried again.
	storeRetry = time.Second
	// storeConflicts is how often a save is decided anew before it counts as a
	// failure of the store.
	storeConflicts = 16
)

// draft is a user's changes with the state that they lead to.
type draft struct {
	state   policy.State
	version uint64
	changes []change
	// join: what the store has is not what the state was made from, so the two
	// are joined (policy.Merge).
	join bool
}

// alarming says whether an alarm is raised or cleared.
func (d *draft) alarming() bool {
	return slices.ContainsFunc(d.changes, func(c change) bool {
		return slices.ContainsFunc(c.actions, func(a policy.Action) bool {
			return a.Kind == policy.RaiseAlarm || a.Kind == policy.ClearAlarm
		})
	})
}

// writer saves the users of a shard, and then acts.
type writer struct {
	e  *Engine
	sh *engineShard
	// unsaved are those whom the store would not take.
	unsaved map[*engineUser]bool
}

// run is the goroutine.
func (w *writer) run(ctx context.Context) {
	var retry <-chan time.Time
	for {
		w.flush(ctx)
		if len(w.unsaved) > 0 && retry == nil {
			retry = time.After(storeRetry)
		}
		select {
		case <-w.sh.changed:
		case <-retry:
			retry = nil
			w.saveAgain(ctx)
		case <-w.e.stopWriting:
			w.flush(ctx)
			w.saveAgain(ctx)
			return
		}
	}
}

// flush works off what has changed.
func (w *writer) flush(ctx context.Context) {
	for {
		u, d := w.sh.take()
		if u == nil {
			return
		}
		switch {
		case w.e.alarms.storeAway.Load():
			w.unsaved[u] = true // its turn comes when the store is tried again
			w.sh.settled(u, false)
		default:
			d = w.save(ctx, u, d)
		}
		w.sh.finished()
		if d.alarming() { // an alarm that nobody remembers would never be cleared
			w.e.turns.persist(ctx, u.aor)
		}
		for _, c := range d.changes {
			w.e.perform(w.sh, u, c)
		}
		w.e.forget(w.sh, u)
	}
}

// take takes the changes of the next user.
func (sh *engineShard) take() (*engineUser, draft) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.dirty) == 0 {
		sh.dirty = nil
		return nil, draft{}
	}
	u := sh.dirty[0]
	sh.dirty[0] = nil
	sh.dirty = sh.dirty[1:]
	d := draft{u.state, u.version, u.changes, u.unsaved}
	u.dirty, u.saving, u.changes = false, true, nil
	return u, d
}

// save saves a draft, deciding anew as often as somebody else was faster, and
// returns what was decided in the end. Should the store fail, the recovery goes
// on with what is known here.
func (w *writer) save(ctx context.Context, u *engineUser, d draft) draft {
	err := store.ErrConflict
	for range storeConflicts {
		var version uint64
		if version, err = w.put(ctx, u.aor, d); err == nil {
			w.sh.saved(u, version)
			delete(w.unsaved, u)
			w.e.alarms.storeBack()
			return d
		}
		switch {
		case errors.Is(err, store.ErrLost): // the store was emptied: we know best
			d.version, d.join, err = 0, true, nil
		case errors.Is(err, store.ErrConflict):
			d, err = w.decideAnew(ctx, u, d)
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = store.ErrConflict
	}
	w.sh.settled(u, false)
	if errors.Is(err, store.ErrUnreadable) {
		// Of a replica of another version, which acts on the user. It is no trouble of
		// the store's, and tried again with the next change only.
		w.sh.leaveAlone(u)
		delete(w.unsaved, u)
		return d
	}
	w.unsaved[u] = true
	w.e.alarms.storeFailed(err)
	return d
}

func (sh *engineShard) saved(u *engineUser, version uint64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u.version, u.saving, u.unsaved, u.unreadable = version, false, false, false
}

// leaveAlone notes that what the store has of a user cannot be read here, so that nothing
// is done to it that its writer may know better.
func (sh *engineShard) leaveAlone(u *engineUser) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u.unreadable = true
}

// settled notes that the writer is done with a user for now.
func (sh *engineShard) settled(u *engineUser, saved bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u.saving, u.unsaved = false, !saved
}

// put writes a draft to the store, or removes what need not be remembered.
func (w *writer) put(ctx context.Context, aor string, d draft) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	switch {
	case w.e.cfg.DryRun.On():
		return d.version, nil
	case !d.state.Forgettable():
		return w.e.store.Save(ctx, store.Record{AOR: aor, Version: d.version, State: d.state}, w.e.alarms.entries(aor, d)...)
	case d.version != 0:
		return 0, w.e.store.Delete(ctx, aor, d.version, w.e.alarms.entries(aor, d)...)
	default:
		return 0, nil
	}
}

// decideAnew takes the state that somebody else saved and lets the events of the
// draft, and those that came since, happen to that.
func (w *writer) decideAnew(ctx context.Context, u *engineUser, d draft) (draft, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := w.e.store.Load(ctx, u.aor)
	if err != nil {
		return d, err
	}
	old, _ := w.e.look(u.aor)
	w.e.others.followAlarms(u.aor, old, r.State)
	w.sh.mu.Lock()
	defer w.sh.mu.Unlock()
	anew := draft{state: r.State, version: r.Version, join: d.join}
	if d.join {
		anew.state, anew.changes = policy.Merge(w.e.cfg.Rules, d.state, r.State), yield(d.changes, d.state, r.State)
	} else {
		anew.state, anew.changes = w.replay(u.aor, r.State, d.changes)
	}
	var latest policy.State
	latest, u.changes = w.replay(u.aor, anew.state, u.changes)
	w.e.replace(u, latest)
	w.e.schedule(w.sh, u, latest.Deadline)
	w.e.ladders.Align(u.aor, latest)
	return anew, nil
}

// yield refuses the turns in changes that led to a state, if somebody else has sent, or
// forgone, what it is the turn of.
func yield(changes []change, ours, other policy.State) []change {
	if !other.Transmitted && !other.SignedOut && !other.StaysRegistered && !sentAsMany(ours, other) {
		return changes
	}
	changes = slices.Clone(changes)
	for i := range changes {
		if changes[i].turn != nil {
			changes[i].actions = nil
		}
	}
	return changes
}

// sentAsMany says whether somebody else has had the answer to as many MESSAGEs as we have
// counted with the one whose turn it is.
func sentAsMany(ours, other policy.State) bool {
	return ours.Phase == policy.Notifying && other.Sent >= ours.Sent &&
		(other.Phase == policy.Waiting || other.Phase == policy.Proving)
}

// replay lets the events of changes happen to a state.
func (w *writer) replay(aor string, s policy.State, changes []change) (policy.State, []change) {
	var anew []change
	for _, c := range changes {
		next, actions := policy.Decide(w.e.cfg.rulesFor(aor), s, c.event)
		anew = append(anew, change{
			event: c.event, from: s.Phase, to: next.Phase, sent: next.Sent, actions: actions, turn: c.turn,
		})
		s = next
	}
	return s, anew
}

// saveAgain tries what could not be saved, until the first that fails again. Who
// has saved such a user meanwhile knew more than we did while the store was away.
func (w *writer) saveAgain(ctx context.Context) {
	for u := range w.unsaved {
		w.sh.mu.Lock()
		d := draft{state: u.state, version: u.version, join: true}
		u.saving = true
		w.sh.mu.Unlock()
		if d.state.Forgettable() && d.version == 0 {
			delete(w.unsaved, u) // nothing to write, and nothing learnt of the store
			w.sh.settled(u, true)
		} else {
			w.save(ctx, u, d)
		}
		if w.unsaved[u] {
			return
		}
		w.e.forget(w.sh, u)
	}
}
