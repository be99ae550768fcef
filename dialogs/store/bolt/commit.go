package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"rewatch/dialogs/store"
)

const (
	// retry is the pause after a commit that failed.
	retry = time.Second
	// share: at most one part in so many of the time is spent on commits. On a fast disk
	// a change waits much less than Options.Sync.
	share = 10
	// stall is how long a commit may take before Save refuses further changes.
	stall = 2 * time.Second
)

var errStalled = errors.New("the disk does not answer")

// batch is what is committed together: the users who have changed, as they are when the
// commit begins, and entries of the journal. done is closed when the commit has succeeded
// or failed.
type batch struct {
	users   map[string]struct{}
	entries map[store.EntryID]store.Entry
	done    chan struct{}
	err     error
}

// gather returns the batch of the next commit. s.mu is held.
func (s *Store) gather() *batch {
	if s.next == nil {
		s.next = &batch{
			users: make(map[string]struct{}), entries: make(map[store.EntryID]store.Entry), done: make(chan struct{}),
		}
	}
	nudge(s.wake)
	return s.next
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add adds entries; the last one of a key holds. s.mu is held.
func (b *batch) add(entries []store.Entry) {
	for _, e := range entries {
		e.Value = bytes.Clone(e.Value)
		b.entries[e.ID()] = e
	}
}

// wait waits until a batch is committed, or could not be.
func (b *batch) wait(ctx context.Context) error {
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Sync commits what has been saved of a user so far, unless it is committed already; ""
// stands for all users.
func (s *Store) Sync(ctx context.Context, aor string) error {
	s.mu.Lock()
	b, err := s.batchOf(aor), s.trouble
	if s.closed {
		b, err = nil, errClosed
	}
	s.mu.Unlock()
	if b == nil {
		return err
	}
	nudge(s.hurry)
	return b.wait(ctx)
}

// batchOf gives the uncommitted batch that has the newest change of a user, or nil.
// s.mu is held.
func (s *Store) batchOf(aor string) *batch {
	for _, b := range []*batch{s.next, s.running} {
		if b == nil {
			continue
		}
		if _, has := b.users[aor]; has || aor == "" {
			return b
		}
	}
	return nil
}

// commitAll is the goroutine that commits, the last time when the store closes.
func (s *Store) commitAll() {
	for {
		select {
		case <-s.wake:
		case <-s.closing:
			s.commit()
			return
		}
		s.wait(min(s.every, (share-1)*s.took), s.hurry) // lets a batch gather, unless somebody waits for it
		if !s.commit() {
			s.wait(retry, nil)
			nudge(s.wake)
		}
	}
}

// wait returns after a time, or at once when the store closes or when hurry says so.
func (s *Store) wait(d time.Duration, hurry <-chan struct{}) {
	select {
	case <-time.After(d):
	case <-hurry:
	case <-s.closing:
	}
}

// commit writes the batch and says whether that succeeded. A batch that could not be
// written is added to the next one.
func (s *Store) commit() bool {
	s.mu.Lock()
	b := s.next
	s.next = nil
	if b == nil {
		s.mu.Unlock()
		return true
	}
	users := make([]store.Record, 0, len(b.users))
	for aor := range b.users {
		r := s.records[aor] // the zero record: to be deleted
		r.AOR = aor
		users = append(users, r)
	}
	s.began, s.running = time.Now(), b
	s.mu.Unlock()

	b.err = s.write(users, b)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took, s.running = time.Since(s.began), nil
	if s.trouble = b.err; b.err != nil {
		s.putBack(b)
	}
	close(b.done)
	return b.err == nil
}

// putBack adds a batch that failed to the next one. Where both have an entry, the next
// batch has the newer one.
func (s *Store) putBack(b *batch) {
	next := s.gather()
	for aor := range b.users {
		next.users[aor] = struct{}{}
	}
	for k, e := range b.entries {
		if _, newer := next.entries[k]; !newer {
			next.entries[k] = e
		}
	}
}

// Pending is how many changes wait for their commit; a commit that runs counts as one.
func (s *Store) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	if s.next != nil {
		n += len(s.next.users) + len(s.next.entries)
	}
	if s.running != nil {
		n++
	}
	return n
}

// inTrouble says why no change can be accepted now; nil if it can. s.mu is held.
func (s *Store) inTrouble() error {
	if s.running != nil && time.Since(s.began) > stall {
		return errStalled
	}
	return s.trouble
}

// Ping says whether what is saved now will be kept.
func (s *Store) Ping(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	return s.inTrouble()
}

func putUsers(tx *bbolt.Tx, users []store.Record) error {
	if len(users) == 0 {
		return nil
	}
	bucket, err := tx.CreateBucketIfNotExists(usersBucket)
	if err != nil {
		return err
	}
	for _, r := range users {
		var value []byte
		if r.Version != 0 {
			value, err = encodeRecord(r)
		}
		if err == nil {
			err = set(bucket, r.AOR, value)
		}
		if err != nil {
			return fmt.Errorf("save %s: %w", r.AOR, err)
		}
	}
	return nil
}

func putEntries(tx *bbolt.Tx, entries map[store.EntryID]store.Entry) error {
	for _, e := range entries {
		bucket, err := tx.CreateBucketIfNotExists(kindBucket(e.Kind))
		if err != nil {
			return err
		}
		var value []byte
		if len(e.Value) > 0 {
			value = encodeEntry(e)
		}
		if err := set(bucket, e.Key, value); err != nil {
			return fmt.Errorf("save %s %q: %w", e.Kind, e.Key, err)
		}
	}
	return nil
}

// set puts a value, or deletes what is there; nil is none.
func set(bucket *bbolt.Bucket, key string, value []byte) error {
	if value == nil {
		return bucket.Delete([]byte(key))
	}
	return bucket.Put([]byte(key), value)
}
