package redis

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rewatch/dialogs/store"
)

// scanCount is about how many keys Redis looks at per SCAN.
const scanCount = 1000

// longestRest bounds the pause between two pages.
const longestRest = 50 * time.Millisecond

// All walks over every record, by SCAN: what is saved meanwhile may be missed.
func (s *Store) All(ctx context.Context) iter.Seq2[store.Record, error] {
	return walk(ctx, s, s.users, "hash", func(ctx context.Context, p redis.Pipeliner, aor string) answer[store.Record] {
		load := p.HMGet(ctx, s.userKey(aor), recordFields...)
		return func() (store.Record, bool, error) {
			r, err := decodeRecord(aor, load.Val(), s.instance)
			return r, r.Version != 0, err
		}
	})
}

// answer gives what Redis answered to one command of a pipeline, after the pipeline was
// executed; false if there is nothing.
type answer[T any] func() (T, bool, error)

// walk scans the keys of a prefix and walks over what they hold. ask adds the command that
// reads one of them to a pipeline.
func walk[T any](
	ctx context.Context, s *Store, prefix, kind string, ask func(ctx context.Context, p redis.Pipeliner, name string) answer[T],
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for names, err := range s.scan(ctx, prefix, kind) {
			var page []T
			if err == nil {
				page, err = readPage(ctx, s, names, ask)
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
			}
			if err != nil {
				var none T
				yield(none, err)
				return
			}
		}
	}
}

// readPage reads what one page of keys holds. What cannot be read (another version of
// rewatch has written it) is counted and left out.
func readPage[T any](
	ctx context.Context, s *Store, names []string, ask func(ctx context.Context, p redis.Pipeliner, name string) answer[T],
) (page []T, err error) {
	var answers []answer[T]
	err = s.circuit.do(ctx, func(ctx context.Context) error {
		p := s.client.Pipeline()
		for _, name := range names {
			answers = append(answers, ask(ctx, p, name))
		}
		if _, err := p.Exec(ctx); !errors.Is(err, redis.Nil) {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, read := range answers {
		switch item, ok, err := read(); {
		case err != nil:
			s.unreadable.Add(1)
		case ok:
			page = append(page, item)
		}
	}
	return page, nil
}

// rest is the pause between two pages, in which Redis serves others: as long as the last
// page took.
func rest(ctx context.Context, took time.Duration) error {
	select {
	case <-time.After(min(took, longestRest)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// scan walks over the keys of a prefix, page by page, each key once, and gives the names
// in their braces.
func (s *Store) scan(ctx context.Context, prefix, kind string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		nodes, err := s.nodes(ctx)
		seen := make(map[string]struct{})
		for _, node := range nodes {
			for cursor := uint64(0); err == nil; {
				var keys []string
				began := time.Now()
				err = s.circuit.do(ctx, func(ctx context.Context) error {
					keys, cursor, err = node.ScanType(ctx, cursor, glob(prefix), scanCount, kind).Result()
					return err
				})
				page := fresh(keys, prefix, seen)
				if err == nil && len(page) > 0 && !yield(page, nil) {
					return
				}
				if err != nil || cursor == 0 {
					break
				}
				err = rest(ctx, time.Since(began))
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// fresh gives the names of the keys that were not seen before.
func fresh(keys []string, prefix string, seen map[string]struct{}) (page []string) {
	for _, key := range keys {
		name, ours := inBraces(key, prefix)
		if _, known := seen[name]; ours && !known {
			seen[name] = struct{}{}
			page = append(page, name)
		}
	}
	return page
}

// nodes are the servers that have keys: the masters of a cluster, or the one server.
func (s *Store) nodes(ctx context.Context) ([]redis.Cmdable, error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return []redis.Cmdable{s.client}, nil
	}
	var mu sync.Mutex
	var all []redis.Cmdable
	err := s.circuit.do(ctx, func(ctx context.Context) error {
		return cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, node)
			return nil
		})
	})
	return all, err
}
