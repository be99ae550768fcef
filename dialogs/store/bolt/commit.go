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
	// share: of the time, no more than one part in so many is spent committing. On a
	// fast disk a change waits much less than Options.Sync then.
	share = 10
	// stall is how long a commit may take before nothing more is promised.
	stall = 2 * time.Second
)

var errStalled = errors.New("the disk does not answer")

type entryKey struct {
	kind store.Kind
	key  string
}

// batch is what is committed together: the users who have changed, as they are by
// then, and entries of the journal. done is closed when it is committed or failed.
type batch struct {
	users   map[string]struct{}
	entries map[entryKey]store.Entry
	done    chan struct{}
	err     error
}

// gather returns the batch of the next commit. s.mu is held.
func (s *Store) gather() *batch {
	if s.next == nil {
		s.next = &batch{
			users: make(map[string]struct{}), entries: make(map[entryKey]store.Entry), done: make(chan struct{}),
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

// add adds entries, the last of a key to hold. s.mu is held.
func (b *batch) add(entries []store.Entry) {
	for _, e := range entries {
		e.Value = bytes.Clone(e.Value)
		b.entries[entryKey{e.Kind, e.Key}] = e
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

// Sync commits now what has been saved of a user so far, unless it is committed
// already; "" is everybody.
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

// batchOf is the batch that has the last of a user and is not committed yet; nil if
// there is none. s.mu is held.
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
		s.linger()
		if !s.commit() {
			s.pause()
		}
	}
}

// linger lets a batch gather, unless somebody waits for it.
func (s *Store) linger() {
	t := time.NewTimer(min(s.every, (share-1)*s.took))
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.hurry:
	case <-s.closing:
	}
}

// pause waits before a failed commit is tried again.
func (s *Store) pause() {
	t := time.NewTimer(retry)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.closing:
	}
	nudge(s.wake)
}

// commit writes the batch, and says whether that went well. What could not be
// written stays for the next one.
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
	s.took, s.began, s.running = time.Since(s.began), time.Time{}, nil
	if s.trouble = b.err; b.err != nil {
		s.putBack(b)
	}
	close(b.done)
	return b.err == nil
}

// putBack adds a batch that failed to the next one, which knows better where both
// know something.
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

// Pending says how much waits for its commit.
func (s *Store) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	if s.next != nil {
		n += len(s.next.users) + len(s.next.entries)
	}
	if !s.began.IsZero() {
		n++
	}
	return n
}

// inTrouble says why nothing can be promised now. s.mu is held.
func (s *Store) inTrouble() error {
	if !s.began.IsZero() && time.Since(s.began) > stall {
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

func putEntries(tx *bbolt.Tx, entries map[entryKey]store.Entry) error {
	for k, e := range entries {
		bucket, err := tx.CreateBucketIfNotExists(kindBucket(k.kind))
		if err != nil {
			return err
		}
		var value []byte
		if len(e.Value) > 0 {
			value = encodeEntry(e)
		}
		if err := set(bucket, k.key, value); err != nil {
			return fmt.Errorf("save %s %q: %w", k.kind, k.key, err)
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
