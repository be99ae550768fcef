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
	// join: the state was not made from what the store has now, so the two are merged
	// (policy.Merge).
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
	// unsaved are the users that the store did not take.
	unsaved map[*engineUser]bool
}

// run saves the users until the Engine stops.
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

// flush saves the users that have changed, and carries out what was decided.
func (w *writer) flush(ctx context.Context) {
	for {
		u, d := w.sh.take()
		if u == nil {
			return
		}
		switch {
		case w.e.alarms.storeAway.Load():
			w.unsaved[u] = true // it is saved when the store is tried again
			w.sh.locked(func() { u.saving, u.unsaved = false, true })
		default:
			d = w.save(ctx, u, d)
		}
		w.sh.finished()
		if d.alarming() { // an alarm that is forgotten would never be cleared
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

// save saves a draft, and returns what was decided in the end: it is decided anew as often as
// another replica has saved the user meanwhile. If the store fails, the recovery goes on with
// what is known here.
func (w *writer) save(ctx context.Context, u *engineUser, d draft) draft {
	err := store.ErrConflict
	for range storeConflicts {
		var version uint64
		if version, err = w.put(ctx, u.aor, d); err == nil {
			w.sh.locked(func() { u.version, u.saving, u.unsaved, u.unreadable = version, false, false, false })
			delete(w.unsaved, u)
			w.e.alarms.storeBack()
			return d
		}
		switch {
		case errors.Is(err, store.ErrLost): // the store was emptied
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
	unreadable := errors.Is(err, store.ErrUnreadable)
	w.sh.locked(func() { u.saving, u.unsaved, u.unreadable = false, true, u.unreadable || unreadable })
	if unreadable {
		// A replica of another version has written it, and acts for the user. That is no
		// fault of the store, so it is tried again with the next change only.
		delete(w.unsaved, u)
		return d
	}
	w.unsaved[u] = true
	w.e.alarms.storeFailed(err)
	return d
}

// put writes a draft to the store, or deletes a user that need not be remembered.
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

// decideAnew takes the state that another replica has saved, and has the policy decide on the
// events of the draft, and on those that came since, from there.
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

// yield refuses the turns among the changes that led to a state, if another replica has sent
// the request meanwhile, or decided not to.
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

// sentAsMany says whether another replica has had the outcome of as many MESSAGEs as are
// counted here with the one whose turn it is.
func sentAsMany(ours, other policy.State) bool {
	return ours.Phase == policy.Notifying && other.Sent >= ours.Sent &&
		(other.Phase == policy.Waiting || other.Phase == policy.Proving)
}

// replay has the policy decide on the events of changes from another state.
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

// saveAgain saves the users that could not be saved, until the first that fails again. What
// another replica has saved of such a user meanwhile is merged.
func (w *writer) saveAgain(ctx context.Context) {
	for u := range w.unsaved {
		w.sh.mu.Lock()
		d := draft{state: u.state, version: u.version, join: true}
		u.saving = true
		w.sh.mu.Unlock()
		if d.state.Forgettable() && d.version == 0 {
			delete(w.unsaved, u) // nothing to write, and nothing learnt of the store
			w.sh.locked(func() { u.saving, u.unsaved = false, false })
		} else {
			w.save(ctx, u, d)
		}
		if w.unsaved[u] {
			return
		}
		w.e.forget(w.sh, u)
	}
}
