package recovery

import (
	"encoding/json"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy"
)

// What an Engine has to remember besides the states of its users: what is held, whom
// an outage broke, who was signed out lately, and how many in the last hour. It is
// little, and an operator may have to read it one night, so it is JSON.

// lostAge is how long it is remembered what an outage broke. A subscription that was
// lost for longer has ended by itself.
const lostAge = 24 * time.Hour

// engineSource is the Source of an Engine.
type engineSource struct{ e *Engine }

// Source is what a Keeper keeps of an Engine.
func (e *Engine) Source() store.Source { return &engineSource{e} }

// Attach has a Keeper keep what the Engine has to remember.
func (s *engineSource) Attach(k *store.Keeper) {
	s.e.noting = true
	s.e.flaps.Attach(k.SharedJournal())
}

// Kinds are those of the entries that are the Engine's.
func (s *engineSource) Kinds() []store.Kind {
	return []store.Kind{store.KindOutage, store.KindLost, store.KindFlap, store.KindSignOuts}
}

// Collect makes the entries of all that is noted. It is little.
func (s *engineSource) Collect(int) (batch []store.Entry, more bool) {
	batch = s.collectHeld(batch)
	for i := range s.e.shards {
		batch = s.e.shards[i].collect(batch)
	}
	return s.e.flaps.Collect(batch), false
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
	return batch
}

// Unwritten is how many notes wait, and users who are not saved.
func (s *engineSource) Unwritten() int {
	n := s.e.flaps.Unwritten()
	for i := range s.e.shards {
		sh := &s.e.shards[i]
		sh.mu.Lock()
		n += len(sh.lostNotes) + len(sh.dirty)
		sh.mu.Unlock()
	}
	return n + s.e.hold.Unwritten()
}

// lostEntry is the value of a KindLost.
type lostEntry struct {
	Hop  string          `json:"hop"`
	Subs []policy.Broken `json:"subs"`
}

// collectHeld makes the entries of what is noted once for all users.
func (s *engineSource) collectHeld(batch []store.Entry) []store.Entry {
	return s.e.signOuts.Hourly.Collect(s.e.hold.Collect(batch))
}

// Restore takes up what an earlier process has kept; false if it is nothing that could
// be that.
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
	case store.KindSubscription, store.KindRegistration, store.KindAlarm, store.KindHost, store.KindRegister:
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
