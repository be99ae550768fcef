package dialogs

import (
	"context"
	"iter"
	"slices"
	"sync"
)

// MemoryStore is a Store that forgets everything when the process ends.
type MemoryStore struct {
	mu      sync.Mutex
	records map[string]Record
	last    uint64 // the version given last; never given again, to nobody
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{records: make(map[string]Record)}
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
func (s *MemoryStore) Save(_ context.Context, r Record) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[r.AOR].Version != r.Version {
		return 0, ErrConflict
	}
	s.last++
	r = r.clone()
	r.Version = s.last
	s.records[r.AOR] = r
	return r.Version, nil
}

// Delete removes a record if nobody changed it since version.
func (s *MemoryStore) Delete(_ context.Context, aor string, version uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[aor]
	if ok && r.Version != version {
		return ErrConflict
	}
	delete(s.records, aor)
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

func (r Record) clone() Record {
	r.State.Broken = slices.Clone(r.State.Broken)
	return r
}
