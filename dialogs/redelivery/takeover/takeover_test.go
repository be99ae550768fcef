package takeover_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs/redelivery/takeover"
	"rewatch/dialogs/store"
)

// replica is a Takeover on a shared store, and what it was told.
type replica struct {
	*takeover.Takeover

	stop  func()
	mu    sync.Mutex
	lost  []string
	taken []string // of its own, by others
}

// told gives what the replica has of others, and what others have taken of its own.
func (r *replica) told() (lost, taken []string) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lost), slices.Clone(r.taken)
}

// lostBy gives what the replicas have of others.
func lostBy(replicas ...*replica) (all []string) {
	for _, r := range replicas {
		lost, _ := r.told()
		all = append(all, lost...)
	}
	return all
}

// flaky is a store that may be away for one replica.
type flaky struct {
	*store.MemoryStore

	away atomic.Bool
	// lose: the answer to the next Take is lost; deaf: the store does not hear of it. took is what this process
	// has taken so.
	lose, deaf atomic.Bool
	took       sync.Map
}

func (f *flaky) Take(ctx context.Context, kind store.Kind, key string) (store.Entry, bool, error) {
	if before, ok := f.took.LoadAndDelete(key); ok {
		return before.(store.Entry), true, nil //nolint:forcetypeassert // nothing else is stored
	}
	if f.deaf.CompareAndSwap(true, false) {
		return store.Entry{}, false, context.DeadlineExceeded
	}
	e, ok, err := f.MemoryStore.Take(ctx, kind, key)
	if f.lose.CompareAndSwap(true, false) {
		if ok {
			f.took.Store(key, e)
		}
		return store.Entry{}, false, context.DeadlineExceeded
	}
	return e, ok, err
}

func (f *flaky) Write(ctx context.Context, batch []store.Entry) error {
	if f.away.Load() {
		return context.DeadlineExceeded
	}
	return f.MemoryStore.Write(ctx, batch)
}

const kept = 10 * time.Minute

func start(t *testing.T, j store.Taker, name string) *replica {
	r := &replica{}
	r.Takeover = takeover.New(takeover.Config{
		Journal: j, Instance: name, For: kept, Log: zerolog.Nop(),
		Lost: func(e store.Entry) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.lost = append(r.lost, e.Key)
		},
		Returned: func(taken func(string) bool) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if taken("call") {
				r.taken = append(r.taken, "call")
			}
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	r.stop = func() { cancel(); running.Wait() }
	return r
}

func keep(t *testing.T, j store.Journal, name string) {
	t.Helper()
	e := store.Entry{Kind: store.KindKept, Key: takeover.Key(name, "call"), Value: []byte("x"), Until: time.Now().Add(time.Hour)}
	if err := j.Write(t.Context(), []store.Entry{e}); err != nil {
		t.Fatal(err)
	}
}

// TestGone: what a replica that is gone kept is taken by one of the others, and not before
// it would have given it up by itself.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemoryStore()
		one, two, gone := start(t, s, "one"), start(t, s, "two"), start(t, s, "gone")
		defer one.stop()
		defer two.stop()
		keep(t, s, "gone")
		time.Sleep(time.Hour / 4)
		if len(lostBy(one, two)) > 0 {
			t.Error("taken from a replica that lives")
		}
		gone.stop()
		keep(t, s, "gone")
		time.Sleep(kept)
		if len(lostBy(one, two)) > 0 {
			t.Error("taken too soon")
		}
		time.Sleep(3*time.Minute + time.Second)
		if all := lostBy(one, two); !slices.Equal(all, []string{"call"}) {
			t.Errorf("taken: %q", all)
		}
	})
}

// TestReturned: a replica that loses the store for a while keeps what it has; one that was
// away for longer than its sign of life lasts is told what was taken, and is not sure before.
func TestReturned(t *testing.T) {
	for _, c := range []struct {
		away  time.Duration
		taken []string
	}{{kept, nil}, {2 * kept, []string{"call"}}} {
		synctest.Test(t, func(t *testing.T) {
			s := store.NewMemoryStore()
			link := &flaky{MemoryStore: s}
			one, two := start(t, s, "one"), start(t, link, "two")
			defer one.stop()
			defer two.stop()
			time.Sleep(time.Second)
			keep(t, s, "two")
			link.away.Store(true)
			time.Sleep(c.away)
			synctest.Wait()
			if sure := c.taken == nil; two.Alive() != sure {
				t.Errorf("after %s: sure %v", c.away, two.Alive())
			}
			link.away.Store(false)
			time.Sleep(time.Minute)
			_, taken := two.told()
			if lost := lostBy(one); !two.Alive() || !slices.Equal(taken, c.taken) || !slices.Equal(lost, c.taken) {
				t.Errorf("away for %s: sure %v, taken %q by others, who have %q", c.away, two.Alive(), taken, lost)
			}
		})
	}
}

// TestStoreAway: when an outage of the store has let the signs of all replicas expire, the
// replica that is back first takes nothing from one that is back seconds later.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemoryStore()
		links := [2]*flaky{{MemoryStore: s}, {MemoryStore: s}}
		one := start(t, links[0], "one")
		defer one.stop()
		time.Sleep(2 * time.Second)
		two := start(t, links[1], "two") // its signs of life come two seconds later
		defer two.stop()
		synctest.Wait()
		keep(t, s, "two")
		for _, l := range links {
			l.away.Store(true)
		}
		time.Sleep(2*kept - 3*time.Second) // one second before a look of the first
		synctest.Wait()
		if one.Alive() || two.Alive() {
			t.Fatal("the signs of life have not expired")
		}
		for _, l := range links {
			l.away.Store(false)
		}
		time.Sleep(10 * time.Minute)
		_, taken := two.told()
		if lost := lostBy(one); len(lost)+len(taken) > 0 {
			t.Errorf("taken from a replica that lives: %q", lost)
		}
	})
}

// TestAnswerLost: what a replica has taken, but does not know of because the answer was lost, it
// looks up again. What another replica has taken since, it leaves alone.
func TestAnswerLost(t *testing.T) {
	for name, taken := range map[string]bool{"taken": true, "not taken": false} {
		synctest.Test(t, func(t *testing.T) {
			s := store.NewMemoryStore()
			link := &flaky{MemoryStore: s}
			link.lose.Store(taken)
			link.deaf.Store(!taken)
			one := start(t, link, "one")
			defer one.stop()
			time.Sleep(time.Second)
			two := start(t, s, "two") // it looks a second after the first one
			defer two.stop()
			keep(t, s, "gone")
			time.Sleep(4 * time.Minute)
			lost, _ := one.told()
			if all := lostBy(one, two); len(all) != 1 || (len(lost) == 1) != taken {
				t.Errorf("%s: it has %q, all have %q", name, lost, all)
			}
		})
	}
}
