package store

import (
	"bytes"
	"context"
	"iter"
	"sync"
	"time"
)

// MemoryStore is a Store in memory: it ends with the process.
type MemoryStore struct {
	mu      sync.Mutex
	records map[string]Record
	entries map[EntryID]Entry
	last    uint64 // the last version given; no version is given twice
}

var _ Store = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{records: make(map[string]Record), entries: make(map[EntryID]Entry)}
}

// Load returns the record of a user.
func (s *MemoryStore) Load(_ context.Context, aor string) (Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[aor]
	if !ok {
		return Record{AOR: aor}, nil
	}
	return r.Clone(), nil
}

// Save writes a record if the version is still the same.
func (s *MemoryStore) Save(_ context.Context, r Record, with ...Entry) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[r.AOR].Version != r.Version {
		return 0, ErrConflict
	}
	s.last++
	r = r.Clone()
	r.Version = s.last
	s.records[r.AOR] = r
	s.keep(with)
	return r.Version, nil
}

// Delete removes a record if the version is still the same.
func (s *MemoryStore) Delete(_ context.Context, aor string, version uint64, with ...Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[aor]
	if ok && r.Version != version {
		return ErrConflict
	}
	delete(s.records, aor)
	s.keep(with)
	return nil
}

// All walks over the records as they are when it begins.
func (s *MemoryStore) All(context.Context) iter.Seq2[Record, error] {
	return Walk(func() (all []Record) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, r := range s.records {
			all = append(all, r.Clone())
		}
		return all
	})
}

// Walk walks over what snapshot returns when the walk begins.
func Walk[T any](snapshot func() []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, item := range snapshot() {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// Write writes a batch of entries.
func (s *MemoryStore) Write(_ context.Context, batch []Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(batch)
	return nil
}

// keep writes entries; s.mu is held.
func (s *MemoryStore) keep(batch []Entry) {
	for _, e := range batch {
		if len(e.Value) == 0 {
			delete(s.entries, e.ID())
			continue
		}
		e.Value = bytes.Clone(e.Value)
		s.entries[e.ID()] = e
	}
}

// Read returns one entry.
func (s *MemoryStore) Read(_ context.Context, kind Kind, key string) (Entry, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[EntryID{kind, key}]
	if !ok || e.Over(time.Now()) {
		return Entry{}, false, nil
	}
	e.Value = bytes.Clone(e.Value)
	return e, true, nil
}

// Entries walks over the entries of a kind as they are when it begins.
func (s *MemoryStore) Entries(_ context.Context, kind Kind) iter.Seq2[Entry, error] {
	return Walk(func() (all []Entry) {
		now := time.Now()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, e := range s.entries {
			if e.Kind == kind && !e.Over(now) {
				e.Value = bytes.Clone(e.Value)
				all = append(all, e)
			}
		}
		return all
	})
}

// Sync has nothing to do.
func (s *MemoryStore) Sync(context.Context, string) error { return nil }

// Ping finds no fault.
func (s *MemoryStore) Ping(context.Context) error { return nil }

// Shared is false: no other process writes to it.
func (s *MemoryStore) Shared() bool { return false }

// Watch has nothing to tell: no other process writes to it.
func (s *MemoryStore) Watch(context.Context, func(string), func()) error { return nil }
