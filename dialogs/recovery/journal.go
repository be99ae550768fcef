package recovery

import (
	"encoding/json"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy"
)

// Besides the states of its users an Engine has to remember what is held, the subscriptions
// that an outage broke, which users were signed out lately, and how many in the last hour. It
// is little, and an operator may have to read it one night, so it is JSON.

// lostAge is how long a subscription that an outage broke is remembered. After that it has
// ended by itself.
const lostAge = 24 * time.Hour

// engineSource is the Source of an Engine.
type engineSource struct{ e *Engine }

// Source gives a Keeper what it has to keep of an Engine.
func (e *Engine) Source() store.Source { return &engineSource{e} }

// Attach implements store.Source.
func (s *engineSource) Attach(k *store.Keeper) {
	s.e.noting = true
	s.e.flaps.Attach(k.SharedJournal())
}

// Kinds implements store.Source.
func (s *engineSource) Kinds() []store.Kind {
	return []store.Kind{store.KindOutage, store.KindLost, store.KindFlap, store.KindSignOuts}
}

// Collect implements store.Source: it makes the entries of all that is noted.
func (s *engineSource) Collect(int) (batch []store.Entry, more bool) {
	batch = s.e.signOuts.Hourly.Collect(s.e.hold.Collect(batch))
	for sh := range s.e.each {
		batch = sh.collect(batch)
	}
	return s.e.flaps.Collect(batch), false
}

// collect makes the entries of a shard that are noted. The shard is locked.
func (sh *engineShard) collect(batch []store.Entry) []store.Entry {
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
	return batch
}

// Unwritten implements store.Source: the notes that wait, and the users that are not saved.
func (s *engineSource) Unwritten() int {
	n := s.e.flaps.Unwritten()
	for sh := range s.e.each {
		n += len(sh.lostNotes) + len(sh.dirty)
	}
	return n + s.e.hold.Unwritten()
}

// lostEntry is the value of a KindLost.
type lostEntry struct {
	Hop  string          `json:"hop"`
	Subs []policy.Broken `json:"subs"`
}

// Restore implements store.Source.
func (s *engineSource) Restore(entry store.Entry, now time.Time) bool {
	switch entry.Kind {
	case store.KindOutage:
		return s.e.hold.Restore(entry, now)
	case store.KindLost:
		return s.restoreLost(entry)
	case store.KindFlap:
		return s.e.flaps.Restore(entry, now)
	case store.KindSignOuts:
		return s.e.signOuts.Hourly.Restore(entry, now)
	case store.KindSubscription, store.KindRegistration, store.KindAlarm, store.KindHost, store.KindRegister,
		store.KindReplica, store.KindKept:
	}
	return false
}

func (s *engineSource) restoreLost(entry store.Entry) bool {
	var l lostEntry
	if json.Unmarshal(entry.Value, &l) != nil || len(l.Subs) == 0 || len(l.Subs) > policy.MaxBroken {
		return false
	}
	sh := s.e.shard(entry.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.lost[entry.Key] != nil || s.e.lost.Load() >= int64(s.e.cfg.MaxUsers) || s.e.room.crowded(false) {
		return false
	}
	lost := &lostWatcher{hop: l.Hop, subs: l.Subs}
	sh.lost[entry.Key] = lost
	lost.weigh(s.e, entry.Key)
	s.e.lost.Add(1)
	return true
}
