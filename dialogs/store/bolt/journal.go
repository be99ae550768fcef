package bolt

import (
	"bytes"
	"context"
	"iter"
	"time"

	"go.etcd.io/bbolt"

	"rewatch/dialogs/store"
)

// pageLength is how many entries are read in one transaction. No transaction stays open
// while the caller works on them: the file cannot grow during a transaction.
const pageLength = 1000

// Write adds a batch of entries and returns when they are committed.
func (s *Store) Write(ctx context.Context, entries []store.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if !allStorable(entries) {
		return errKey
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	b := s.gather()
	b.add(entries)
	s.mu.Unlock()
	nudge(s.hurry)
	return b.wait(ctx)
}

// view runs a transaction that reads. A fault (the file may be truncated meanwhile) is an error.
func (s *Store) view(do func(*bbolt.Tx) error) error {
	return guard(func() error { return s.db.View(do) })
}

// Read returns one entry.
func (s *Store) Read(_ context.Context, kind store.Kind, key string) (e store.Entry, ok bool, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(kindBucket(kind))
		if bucket == nil {
			return nil
		}
		value := bucket.Get([]byte(key))
		if value == nil {
			return nil
		}
		e, err = decodeEntry(kind, []byte(key), value)
		ok = err == nil && !e.Over(time.Now())
		return err
	})
	if !ok {
		return store.Entry{}, false, err
	}
	return e, true, nil
}

// Entries walks over the entries of a kind, and removes those that have expired.
func (s *Store) Entries(ctx context.Context, kind store.Kind) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		var after []byte
		for {
			page, err := s.page(kind, after)
			var past []store.Entry
			for _, e := range page {
				after = []byte(e.Key)
				if e.Over(time.Now()) {
					past = append(past, store.Entry{Kind: kind, Key: e.Key})
				} else if !yield(e, nil) {
					return
				}
			}
			if err == nil {
				err = s.Write(ctx, past)
			}
			if err != nil {
				yield(store.Entry{}, err)
				return
			}
			if len(page) < pageLength {
				return
			}
		}
	}
}

// page reads the entries that follow a key.
func (s *Store) page(kind store.Kind, after []byte) (page []store.Entry, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(kindBucket(kind))
		if bucket == nil {
			return nil
		}
		c := bucket.Cursor()
		k, v := c.First()
		if after != nil {
			if k, v = c.Seek(after); bytes.Equal(k, after) {
				k, v = c.Next()
			}
		}
		for ; k != nil && len(page) < pageLength; k, v = c.Next() {
			e, err := decodeEntry(kind, k, v)
			if err != nil {
				return err
			}
			page = append(page, e)
		}
		return nil
	})
	return page, err
}

// readUsers calls user with the record of every user.
func readUsers(tx *bbolt.Tx, user func(store.Record)) error {
	bucket := tx.Bucket(usersBucket)
	if bucket == nil {
		return nil
	}
	return bucket.ForEach(func(k, v []byte) error {
		r, err := decodeRecord(k, v)
		if err == nil {
			user(r)
		}
		return err
	})
}
