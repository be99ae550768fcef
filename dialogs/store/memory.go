package store

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"sync"
	"time"
)

// MemoryStore is a Store that forgets everything when the process ends.
type MemoryStore struct {
	mu      sync.Mutex
	records map[string]Record
	entries map[entryKey]Entry
	last    uint64 // the version given last; never given again, to nobody
}

type entryKey struct {
	kind Kind
	key  string
}

var _ Store = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{records: make(map[string]Record), entries: make(map[entryKey]Entry)}
}

// Load returns the record of a user.
func (s *MemoryStore) Load(_ context.Context, aor string) (Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[aor]
	if !ok {
		return Record{AOR: aor}, nil
	}
	return r.clone(), nil
}

// Save writes a record if nobody did since its version.
func (s *MemoryStore) Save(_ context.Context, r Record, with ...Entry) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[r.AOR].Version != r.Version {
		return 0, ErrConflict
	}
	s.last++
	r = r.clone()
	r.Version = s.last
	s.records[r.AOR] = r
	s.keep(with)
	return r.Version, nil
}

// Delete removes a record if nobody changed it since version.
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
	return func(yield func(Record, error) bool) {
		for _, r := range s.snapshot() {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (s *MemoryStore) snapshot() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Record, 0, len(s.records))
	for _, r := range s.records {
		all = append(all, r.clone())
	}
	return all
}

// Write keeps a batch of entries.
func (s *MemoryStore) Write(_ context.Context, batch []Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(batch)
	return nil
}

// keep keeps entries; s.mu is held.
func (s *MemoryStore) keep(batch []Entry) {
	for _, e := range batch {
		k := entryKey{e.Kind, e.Key}
		if len(e.Value) == 0 {
			delete(s.entries, k)
			continue
		}
		e.Value = bytes.Clone(e.Value)
		s.entries[k] = e
	}
}

// Read returns one entry.
func (s *MemoryStore) Read(_ context.Context, kind Kind, key string) (Entry, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[entryKey{kind, key}]
	if !ok || e.over(time.Now()) {
		return Entry{}, false, nil
	}
	e.Value = bytes.Clone(e.Value)
	return e, true, nil
}

// Entries walks over the entries of a kind as they are when it begins.
func (s *MemoryStore) Entries(_ context.Context, kind Kind) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range s.entriesOf(kind) {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s *MemoryStore) entriesOf(kind Kind) []Entry {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Entry
	for k, e := range s.entries {
		if k.kind == kind && !e.over(now) {
			e.Value = bytes.Clone(e.Value)
			all = append(all, e)
		}
	}
	return all
}

// Sync has nothing to do.
func (s *MemoryStore) Sync(context.Context, string) error { return nil }

// Ping says that all is well.
func (s *MemoryStore) Ping(context.Context) error { return nil }

// Shared says that nobody else writes to it.
func (s *MemoryStore) Shared() bool { return false }

// Watch has nothing to tell.
func (s *MemoryStore) Watch(context.Context, func(string), func()) error { return nil }

func (r Record) clone() Record {
	r.State.Broken = slices.Clone(r.State.Broken)
	return r
}
