package redis

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/redis/go-redis/v9"

	"rewatch/dialogs/store"
)

// pipeline is how many commands are sent together.
const pipeline = 500

// Write writes a batch. An error may leave a part of the batch written.
func (s *Store) Write(ctx context.Context, batch []store.Entry) error {
	batch = newest(batch)
	for len(batch) > 0 {
		n := min(len(batch), pipeline)
		if err := s.circuit.do(ctx, func(ctx context.Context) error { return s.write(ctx, batch[:n]) }); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// newest leaves out each entry that a later one of the batch overwrites: in a cluster the
// commands of a pipeline keep their order only per node.
func newest(batch []store.Entry) []store.Entry {
	last := make(map[store.EntryID]int, len(batch))
	for i, e := range batch {
		last[e.ID()] = i
	}
	if len(last) == len(batch) {
		return batch
	}
	var kept []store.Entry
	for i, e := range batch {
		if last[e.ID()] == i {
			kept = append(kept, e)
		}
	}
	return kept
}

func (s *Store) write(ctx context.Context, batch []store.Entry) error {
	p := s.client.Pipeline()
	now := time.Now()
	for _, e := range batch {
		key, life := s.entryKey(e.Kind, e.Key), noEnd
		if !e.Until.IsZero() {
			life = e.Until.Sub(now)
		}
		if len(e.Value) == 0 || life < time.Millisecond {
			p.Del(ctx, key)
		} else {
			p.Set(ctx, key, store.AppendEntry(make([]byte, 0, 8+len(e.Value)), e), life)
		}
	}
	_, err := p.Exec(ctx)
	return err
}

// Read returns one entry.
func (s *Store) Read(ctx context.Context, kind store.Kind, key string) (e store.Entry, ok bool, err error) {
	var value string
	err = s.circuit.do(ctx, func(ctx context.Context) error {
		value, err = s.client.Get(ctx, s.entryKey(kind, key)).Result()
		return unlessMissing(err)
	})
	return s.found(kind, key, value, err)
}

// takeScript reads an entry that nobody else has taken, and notes for a while who has.
var takeScript = redis.NewScript(`
local taker = redis.call('GET', KEYS[2])
if taker and taker ~= ARGV[1] then return '' end
local value = redis.call('GET', KEYS[1])
if not value then return '' end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return value
`)

// Take returns one entry, and reserves it for this instance.
func (s *Store) Take(ctx context.Context, kind store.Kind, key string) (store.Entry, bool, error) {
	var value string
	err := s.circuit.do(ctx, func(ctx context.Context) (err error) {
		keys := []string{s.entryKey(kind, key), s.prefix + ":taken:{" + key + "}"} // on one node of a cluster
		value, err = takeScript.Run(ctx, s.client, keys, s.instance, tombstone.Milliseconds()).Text()
		return err
	})
	return s.found(kind, key, value, err)
}

// unlessMissing: that a key does not exist is no error.
func unlessMissing(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// found makes an entry of a value that was read; an empty value: there was none.
func (s *Store) found(kind store.Kind, key, value string, err error) (e store.Entry, ok bool, _ error) {
	if err != nil || value == "" {
		return store.Entry{}, false, err
	}
	if e, ok = store.ReadEntry(kind, key, []byte(value)); !ok {
		s.unreadable.Add(1)
	}
	return e, ok, nil
}

// Entries walks over the entries of a kind.
func (s *Store) Entries(ctx context.Context, kind store.Kind) iter.Seq2[store.Entry, error] {
	return walk(ctx, s, s.kindPrefix(kind), "string", func(ctx context.Context, p redis.Pipeliner, key string) answer[store.Entry] {
		get := p.Get(ctx, s.entryKey(kind, key))
		return func() (e store.Entry, ok bool, err error) {
			value, missing := get.Result()
			if missing != nil { // it has expired since the SCAN
				return e, false, nil
			}
			if e, ok = store.ReadEntry(kind, key, []byte(value)); !ok {
				err = store.ErrUnreadable
			}
			return e, ok, err
		}
	})
}
