package redis

import (
	"context"
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
	return func(yield func(store.Record, error) bool) {
		for aors, err := range s.scan(ctx, s.users, "hash") {
			var records []store.Record
			if err == nil {
				records, err = s.loadAll(ctx, aors)
			}
			for _, r := range records {
				if r.Version != 0 && !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(store.Record{}, err)
				return
			}
		}
	}
}

// loadAll loads the records of a page.
func (s *Store) loadAll(ctx context.Context, aors []string) ([]store.Record, error) {
	var loads []*redis.SliceCmd
	err := s.circuit.do(ctx, func(ctx context.Context) error {
		p := s.client.Pipeline()
		for _, aor := range aors {
			loads = append(loads, p.HMGet(ctx, s.userKey(aor), recordFields...))
		}
		_, err := p.Exec(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	var records []store.Record
	for i, load := range loads {
		r, err := decodeRecord(aors[i], load.Val(), s.instance)
		if err != nil { // of another version: it must not keep the others from being read
			s.unreadable.Add(1)
			continue
		}
		records = append(records, r)
	}
	return records, nil
}

// rest lets Redis serve others between two pages, for as long as the last one took.
func rest(ctx context.Context, took time.Duration) error {
	t := time.NewTimer(min(took, longestRest))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// scan walks over the keys of a prefix, page by page, each key once, and gives what
// is in their braces.
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

// nodes are those that keys are on.
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
