package boltstore

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"rewatch/dialogs"
)

// retry is the pause after a commit that failed.
const retry = time.Second

type entryKey struct {
	kind dialogs.Kind
	key  string
}

// batch is what is committed together: the users who have changed, as they are by
// then, and entries of the journal. done is closed when it is committed or failed.
type batch struct {
	users   map[string]struct{}
	entries map[entryKey]dialogs.Entry
	done    chan struct{}
	err     error
}

// gather returns the batch of the next commit. s.mu is held.
func (s *Store) gather() *batch {
	if s.next == nil {
		s.next = &batch{
			users: make(map[string]struct{}), entries: make(map[entryKey]dialogs.Entry), done: make(chan struct{}),
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

// wait waits until a batch is committed, or could not be.
func (b *batch) wait(ctx context.Context) error {
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Sync commits now what has been saved so far.
func (s *Store) Sync(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	b := s.gather()
	s.mu.Unlock()
	nudge(s.hurry)
	return b.wait(ctx)
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
	t := time.NewTimer(s.every)
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
	users := make([]dialogs.Record, 0, len(b.users))
	for aor := range b.users {
		r := s.records[aor] // the zero record: to be deleted
		r.AOR = aor
		users = append(users, r)
	}
	s.mu.Unlock()

	b.err = s.write(users, b)
	s.mu.Lock()
	defer s.mu.Unlock()
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

// write writes a batch to the file, in one transaction.
func (s *Store) write(users []dialogs.Record, b *batch) (err error) {
	defer func() { // a bug of ours or bbolt's must not take the sidecar with it
		if p := recover(); p != nil {
			err = fmt.Errorf("commit: %v", p)
		}
	}()
	return s.db.Update(func(tx *bbolt.Tx) error {
		if err := putUsers(tx, users); err != nil {
			return err
		}
		return putEntries(tx, b.entries)
	})
}

func putUsers(tx *bbolt.Tx, users []dialogs.Record) error {
	bucket, err := tx.CreateBucketIfNotExists(usersBucket)
	if err != nil {
		return err
	}
	for _, r := range users {
		if r.Version == 0 {
			err = bucket.Delete([]byte(r.AOR))
		} else {
			var value []byte
			if value, err = encodeRecord(r); err == nil {
				err = bucket.Put([]byte(r.AOR), value)
			}
		}
		if err != nil {
			return fmt.Errorf("save %s: %w", r.AOR, err)
		}
	}
	return nil
}

func putEntries(tx *bbolt.Tx, entries map[entryKey]dialogs.Entry) error {
	for k, e := range entries {
		bucket, err := tx.CreateBucketIfNotExists(kindBucket(k.kind))
		if err != nil {
			return err
		}
		if len(e.Value) == 0 {
			err = bucket.Delete([]byte(k.key))
		} else {
			err = bucket.Put([]byte(k.key), encodeEntry(e))
		}
		if err != nil {
			return fmt.Errorf("save %s %q: %w", k.kind, k.key, err)
		}
	}
	return nil
}
