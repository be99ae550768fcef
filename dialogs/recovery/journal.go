package recovery

import (
	"context"
	"encoding/json"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy"
	"rewatch/policy/outage"
)

// What an Engine has to remember besides the states of its users: what is held, whom
// an outage broke, who was signed out lately, and how many in the last hour. It is
// little, and an operator may have to read it one night, so it is JSON.

// lostAge is how long it is remembered what an outage broke. A subscription that was
// lost for longer has ended by itself.
const lostAge = 24 * time.Hour

// outageKey is the Journal's key of a scope, which must not be empty.
func outageKey(scope string) string { return objectOf(scope) }

var _ store.Source = (*Engine)(nil)

// Attach has a Keeper keep what the Engine has to remember.
func (e *Engine) Attach(k *store.Keeper) { e.noting, e.journal = true, k.SharedJournal() }

// Kinds are those of the entries that are the Engine's.
func (e *Engine) Kinds() []store.Kind {
	return []store.Kind{store.KindOutage, store.KindLost, store.KindFlap, store.KindSignOuts}
}

// Collect makes the entries of all that is noted. It is little.
func (e *Engine) Collect(int) (batch []store.Entry, more bool) {
	batch = e.collectHeld(batch)
	for i := range e.shards {
		batch = e.shards[i].collect(batch)
	}
	return batch, false
}

// noteLost has it journalled what an outage broke of a user. The shard is locked.
func (e *Engine) noteLost(sh *engineShard, aor string) {
	if e.noting {
		sh.lostNotes[aor] = struct{}{}
	}
}

// collect makes the entries of a shard that are noted.
func (sh *engineShard) collect(batch []store.Entry) []store.Entry {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := time.Now()
	for aor := range sh.lostNotes {
		entry, l := store.Entry{Kind: store.KindLost, Key: aor}, sh.lost[aor]
		if u := sh.users[aor]; l == nil && u != nil && (u.dirty || u.saving || u.unsaved) {
			continue // what was lost has to be kept until it is part of the user's state
		}
		delete(sh.lostNotes, aor)
		if l != nil {
			entry = entry.With(lostEntry{l.hop, l.subs}, now.Add(lostAge))
		}
		batch = append(batch, entry)
	}
	for aor := range sh.flapNotes {
		f := sh.flaps[aor]
		batch = append(batch, store.Entry{Kind: store.KindFlap, Key: aor}.With(f, f.over()))
	}
	clear(sh.flapNotes)
	return batch
}

// Unwritten is how many notes wait, and users who are not saved.
func (e *Engine) Unwritten() int {
	n := 0
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		n += len(sh.lostNotes) + len(sh.flapNotes) + len(sh.dirty)
		sh.mu.Unlock()
	}
	e.hold.mu.Lock()
	defer e.hold.mu.Unlock()
	return n + len(e.hold.notes)
}

// lostEntry is the value of a KindLost.
type lostEntry struct {
	Hop  string          `json:"hop"`
	Subs []policy.Broken `json:"subs"`
}

// collectHeld makes the entries of what is noted once for all users.
func (e *Engine) collectHeld(batch []store.Entry) []store.Entry {
	h := e.hold
	h.mu.Lock()
	for scope := range h.notes {
		entry := store.Entry{Kind: store.KindOutage, Key: outageKey(scope)}
		if c, held := h.told[scope]; held {
			entry = entry.With(c, time.Time{})
		}
		batch = append(batch, entry)
	}
	clear(h.notes)
	h.mu.Unlock()
	return e.signOuts.Hourly.Collect(batch)
}

// Restore takes up what an earlier process has kept; false if it is nothing that could
// be that.
func (e *Engine) Restore(entry store.Entry, now time.Time) bool {
	switch entry.Kind {
	case store.KindOutage:
		return e.hold.restore(entry, now)
	case store.KindLost:
		return e.restoreLost(entry)
	case store.KindFlap:
		return e.restoreFlap(entry, now)
	case store.KindSignOuts:
		return e.signOuts.Hourly.Restore(entry, now)
	case store.KindSubscription, store.KindRegistration, store.KindAlarm:
	}
	return false
}

func (h *hold) restore(entry store.Entry, now time.Time) bool {
	var c outage.Change
	if json.Unmarshal(entry.Value, &c) != nil || outageKey(c.Scope) != entry.Key {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.detector.Restore(c, now) {
		return false
	}
	h.since[c.Scope], h.told[c.Scope] = c.Since, c
	h.restored = append(h.restored, c)
	h.open.Store(true)
	return true
}

func (e *Engine) restoreLost(entry store.Entry) bool {
	var l lostEntry
	if json.Unmarshal(entry.Value, &l) != nil || len(l.Subs) == 0 || len(l.Subs) > policy.MaxBroken {
		return false
	}
	sh := e.shard(entry.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.lost[entry.Key] != nil || e.lost.Load() >= int64(e.cfg.MaxUsers) {
		return false
	}
	sh.lost[entry.Key] = &lostWatcher{hop: l.Hop, subs: l.Subs}
	e.lost.Add(1)
	return true
}

func (e *Engine) restoreFlap(entry store.Entry, now time.Time) bool {
	f, ok := readFlap(entry)
	if !ok || now.After(f.over()) {
		return false
	}
	sh := e.shard(entry.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.flaps) < maxFlaps {
		sh.flaps[entry.Key] = f
	}
	return true
}

func readFlap(entry store.Entry) (f flap, ok bool) {
	return f, json.Unmarshal(entry.Value, &f) == nil && f.Times > 0
}

// lookUpFlap reads what all replicas together know; nothing if that cannot be told.
func (e *Engine) lookUpFlap(aor string) flap {
	ctx, cancel := context.WithTimeout(context.Background(), flapLookup)
	defer cancel()
	entry, ok, err := e.journal.Read(ctx, store.KindFlap, aor)
	if err != nil || !ok {
		return flap{}
	}
	f, _ := readFlap(entry)
	return f
}
