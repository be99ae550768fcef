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

// Options are the options of Open.
type Options struct {
	// Sync is how long a change waits for its commit, at most; 0: Save and Delete return
	// after the commit.
	Sync time.Duration
	// LockTimeout is how long Open waits for another process to release the file; 0 is a
	// second.
	LockTimeout time.Duration
}

// Store is a store.Store in a file.
type Store struct {
	path     string
	every    time.Duration
	db       *bbolt.DB
	pageSize int64
	aside    string // the new name of a file that could not be read
	lost     error  // and why it could not
	// These belong to the goroutine that commits: the file as the last commit left it, how
	// long that commit took, and the error that made bbolt unusable.
	print  print
	took   time.Duration
	broken error

	mu      sync.Mutex
	records map[string]store.Record // the slices in State are never changed
	last    uint64                  // the version given last
	next    *batch                  // waits for the next commit; nil: nothing does
	trouble error                   // the error of the last commit
	running *batch                  // is being committed; nil: none is
	began   time.Time               // when that commit began
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

// storable says whether bbolt accepts a key. A key that it refuses would make the commit of
// the whole batch fail.
func storable(key string) bool { return key != "" && len(key) <= bbolt.MaxKeySize }

func allStorable(entries []store.Entry) bool {
	return !slices.ContainsFunc(entries, func(e store.Entry) bool { return !storable(e.Key) })
}

// Open opens the file, or creates it; the directory has to exist. A state file that cannot
// be read is moved aside and a new one is created (see Lost). Errors: ErrForeign for a file
// of another program, which is left as it is; ErrInUse; or the system's.
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

// Close commits what is left, and releases the file.
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
	if s.broken == nil { // otherwise bbolt would wait for its own lock
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
	return r.Clone(), nil
}

// Save writes a record if the version is still the same.
func (s *Store) Save(ctx context.Context, r store.Record, with ...store.Entry) (uint64, error) {
	b, version, err := s.change(r.AOR, r.Version, with, func() uint64 {
		s.last++
		r = r.Clone()
		r.Version = s.last
		s.records[r.AOR] = r
		return s.last
	})
	if err != nil {
		return 0, err
	}
	return version, s.await(ctx, b)
}

// Delete removes a record if the version is still the same.
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

// change calls do, which changes the record of a user, if the record has the version and the
// store accepts changes. It adds the user and the entries to the next batch.
func (s *Store) change(aor string, version uint64, with []store.Entry, do func() uint64) (*batch, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, 0, errClosed
	case s.inTrouble() != nil:
		// What cannot be committed must not be accepted either.
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

// await waits for the commit if Options.Sync is 0.
func (s *Store) await(ctx context.Context, b *batch) error {
	if s.every > 0 {
		return nil
	}
	return b.wait(ctx)
}

// All walks over the records as they are when it begins.
func (s *Store) All(context.Context) iter.Seq2[store.Record, error] {
	return store.Walk(func() (all []store.Record) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, r := range s.records {
			all = append(all, r.Clone())
		}
		return all
	})
}

// Shared is false: no other process writes to the file.
func (s *Store) Shared() bool { return false }

// Watch has nothing to tell: no other process writes to the file.
func (s *Store) Watch(context.Context, func(string), func()) error { return nil }
