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

// Write keeps a batch.
func (s *Store) Write(ctx context.Context, batch []store.Entry) error {
	batch = lastWords(batch)
	for len(batch) > 0 {
		n := min(len(batch), pipeline)
		if err := s.circuit.do(ctx, func(ctx context.Context) error { return s.write(ctx, batch[:n]) }); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// lastWords leaves out what a later entry of the same key says otherwise: in a
// cluster the commands of a pipeline keep their order only per node.
func lastWords(batch []store.Entry) []store.Entry {
	type id struct {
		kind store.Kind
		key  string
	}
	last := make(map[id]int, len(batch))
	for i, e := range batch {
		last[id{e.Kind, e.Key}] = i
	}
	if len(last) == len(batch) {
		return batch
	}
	var kept []store.Entry
	for i, e := range batch {
		if last[id{e.Kind, e.Key}] == i {
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
			p.Set(ctx, key, encodeEntry(e), life)
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
		if errors.Is(err, redis.Nil) {
			value, err = "", nil
		}
		return err
	})
	if err != nil || value == "" {
		return store.Entry{}, false, err
	}
	if e, err = decodeEntry(kind, key, value); err != nil {
		s.unreadable.Add(1)
		return store.Entry{}, false, nil
	}
	return e, true, nil
}

// Entries walks over the entries of a kind.
func (s *Store) Entries(ctx context.Context, kind store.Kind) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		for keys, err := range s.scan(ctx, s.kindPrefix(kind), "string") {
			var page []store.Entry
			if err == nil {
				page, err = s.readAll(ctx, kind, keys)
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(store.Entry{}, err)
				return
			}
		}
	}
}

func (s *Store) readAll(ctx context.Context, kind store.Kind, keys []string) (page []store.Entry, err error) {
	var reads []*redis.StringCmd
	err = s.circuit.do(ctx, func(ctx context.Context) error {
		p := s.client.Pipeline()
		for _, key := range keys {
			reads = append(reads, p.Get(ctx, s.entryKey(kind, key)))
		}
		if _, err := p.Exec(ctx); !errors.Is(err, redis.Nil) {
			return err
		}
		return nil // one has lapsed since the SCAN
	})
	if err != nil {
		return nil, err
	}
	for i, read := range reads {
		value, missing := read.Result()
		if missing != nil {
			continue
		}
		e, err := decodeEntry(kind, keys[i], value)
		if err != nil {
			s.unreadable.Add(1)
			continue
		}
		page = append(page, e)
	}
	return page, nil
}
