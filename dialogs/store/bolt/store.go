package bolt

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"rewatch/dialogs/store"
)

// Options are what may be chosen.
type Options struct {
	// Sync is how long a change may wait for its commit, at most; 0: Save and Delete
	// return when it is done.
	Sync time.Duration
	// LockTimeout is how long another process may take to let go of the file; 0
	// is a second.
	LockTimeout time.Duration
}

// Store is a store.Store in a file.
type Store struct {
	path     string
	every    time.Duration
	db       *bbolt.DB
	pageSize int64
	aside    string // what could not be read, under its new name
	lost     error  // and why
	// These are the committing goroutine's: the file as the last commit left it, how
	// long that took, and what made bbolt unusable.
	print  print
	took   time.Duration
	broken error

	mu      sync.Mutex
	records map[string]store.Record // what Broken leads to is never changed
	last    uint64                  // the version given last
	next    *batch                  // what awaits the next commit; nil: nothing
	trouble error                   // of the last commit
	began   time.Time               // of the commit that runs
	running *batch                  // which is being committed; nil: none is
	closed  bool

	wake, hurry chan struct{}
	closing     chan struct{}
	committing  sync.WaitGroup
}

var (
	_ store.Store = (*Store)(nil)

	errClosed = errors.New("the state file is closed")
	errKey    = errors.New("a key that cannot be kept")
)

// storable says whether bbolt takes a key. One that it refuses must not spoil the
// batch of all the others.
func storable(key string) bool { return key != "" && len(key) <= bbolt.MaxKeySize }

func allStorable(entries []store.Entry) bool {
	return !slices.ContainsFunc(entries, func(e store.Entry) bool { return !storable(e.Key) })
}

// Open opens the file, or makes it. The directory has to be there. A state file that
// cannot be read is moved aside, and a new one is begun; Lost tells of it. A file that
// is no state file is left alone, and is an error.
func Open(path string, o Options) (*Store, error) {
	s, err := openStore(path, o)
	if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
		return s, err
	}
	lost := err
	aside, err := moveAside(path)
	if err != nil {
		return nil, fmt.Errorf("%w; %w", lost, err)
	}
	if s, err = openStore(path, o); err != nil {
		return nil, err
	}
	s.aside, s.lost = aside, lost
	return s, nil
}

func openStore(path string, o Options) (*Store, error) {
	if o.LockTimeout <= 0 {
		o.LockTimeout = time.Second
	}
	db, err := openFile(path, o.LockTimeout)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := &Store{
		path: path, every: o.Sync, db: db, pageSize: int64(db.Info().PageSize), records: make(map[string]store.Record),
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	err = s.view(func(tx *bbolt.Tx) error {
		return readUsers(tx, func(r store.Record) {
			s.records[r.AOR] = r
			s.last = max(s.last, r.Version)
		})
	})
	if err == nil {
		s.print, err = s.look()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	s.committing.Go(s.commitAll)
	return s, nil
}

// Close commits what is left, and gives the file free.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.closing)
	s.committing.Wait()
	s.mu.Lock()
	err := s.trouble
	s.mu.Unlock()
	if s.broken == nil { // else bbolt would wait for its own lock
		err = errors.Join(err, s.db.Close())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return nil
}

// Load returns the record of a user.
func (s *Store) Load(_ context.Context, aor string) (store.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[aor]
	if !ok {
		return store.Record{AOR: aor}, nil
	}
	return own(r), nil
}

// Save writes a record if nobody did since its version.
func (s *Store) Save(ctx context.Context, r store.Record, with ...store.Entry) (uint64, error) {
	b, version, err := s.change(r.AOR, r.Version, with, func() uint64 {
		s.last++
		r = own(r)
		r.Version = s.last
		s.records[r.AOR] = r
		return s.last
	})
	if err != nil {
		return 0, err
	}
	return version, s.await(ctx, b)
}

// Delete removes a record if nobody changed it since version.
func (s *Store) Delete(ctx context.Context, aor string, version uint64, with ...store.Entry) error {
	s.mu.Lock()
	_, known := s.records[aor]
	s.mu.Unlock()
	if !known {
		return s.Write(ctx, with)
	}
	b, _, err := s.change(aor, version, with, func() uint64 {
		delete(s.records, aor)
		return 0
	})
	if err != nil {
		return err
	}
	return s.await(ctx, b)
}

// change lets do change the record of a user, if that may be now, and puts them and the
// entries into the next batch.
func (s *Store) change(aor string, version uint64, with []store.Entry, do func() uint64) (*batch, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, 0, errClosed
	case s.inTrouble() != nil:
		// What cannot be committed must not be promised either.
		return nil, 0, s.inTrouble()
	case !storable(aor) || !allStorable(with):
		return nil, 0, errKey
	case s.records[aor].Version != version:
		return nil, 0, store.ErrConflict
	}
	version = do()
	b := s.gather()
	b.users[aor] = struct{}{}
	b.add(with)
	return b, version, nil
}

// await waits for the commit where nothing may be lost.
func (s *Store) await(ctx context.Context, b *batch) error {
	if s.every > 0 {
		return nil
	}
	return b.wait(ctx)
}

// All walks over the records as they are when it begins.
func (s *Store) All(context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for _, r := range s.snapshot() {
			if !yield(own(r), nil) {
				return
			}
		}
	}
}

func (s *Store) snapshot() []store.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]store.Record, 0, len(s.records))
	for _, r := range s.records {
		all = append(all, r)
	}
	return all
}

// Shared says that the file is this process's alone.
func (s *Store) Shared() bool { return false }

// Watch has nothing to tell: nobody else writes to the file.
func (s *Store) Watch(context.Context, func(string), func()) error { return nil }

// own gives a record that shares nothing.
func own(r store.Record) store.Record {
	r.State.Broken = slices.Clone(r.State.Broken)
	return r
}
