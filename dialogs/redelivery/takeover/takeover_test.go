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
	// crashes: what follows from what it takes is not saved.
	crashes bool
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

// town is a store that replicas share.
type town struct {
	*store.MemoryStore

	mu    sync.Mutex
	taken map[string]lease
}

// lease is who has taken an entry, and until when no other replica gets it.
type lease struct {
	by    string
	until time.Time
}

func newTown() *town { return &town{MemoryStore: store.NewMemoryStore(), taken: map[string]lease{}} }

// link is the way of one replica to the store.
type link struct {
	*town

	name string
	away atomic.Bool // it leads nowhere
	// lose: the answer to the next Take is lost; deaf: the store does not hear of it.
	lose, deaf atomic.Bool
}

func (t *town) link(name string) *link { return &link{town: t, name: name} }

func (l *link) Take(ctx context.Context, kind store.Kind, key string) (store.Entry, bool, error) {
	if l.away.Load() || l.deaf.CompareAndSwap(true, false) {
		return store.Entry{}, false, context.DeadlineExceeded
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if by := l.taken[key]; by.by != l.name && time.Now().Before(by.until) {
		return store.Entry{}, false, nil
	}
	e, ok, err := l.Read(ctx, kind, key)
	if ok {
		l.taken[key] = lease{l.name, time.Now().Add(10 * time.Minute)}
	}
	if l.lose.CompareAndSwap(true, false) {
		return store.Entry{}, false, context.DeadlineExceeded
	}
	return e, ok, err
}

func (l *link) Write(ctx context.Context, batch []store.Entry) error {
	if l.away.Load() {
		return context.DeadlineExceeded
	}
	return l.MemoryStore.Write(ctx, batch)
}

const kept = 10 * time.Minute

func start(t *testing.T, l *link) *replica {
	r := &replica{}
	r.Takeover = takeover.New(takeover.Config{
		Journal: l, Instance: l.name, For: kept, Log: zerolog.Nop(),
		Keep: func(removal ...store.Entry) {
			if !r.crashes {
				_ = l.Write(t.Context(), removal)
			}
		},
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
		s := newTown()
		one, two, gone := start(t, s.link("one")), start(t, s.link("two")), start(t, s.link("gone"))
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
			s := newTown()
			link := s.link("two")
			one, two := start(t, s.link("one")), start(t, link)
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
		s := newTown()
		links := [2]*link{s.link("one"), s.link("two")}
		one := start(t, links[0])
		defer one.stop()
		time.Sleep(2 * time.Second)
		two := start(t, links[1]) // its signs of life come two seconds later
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
// takes again. What it has not taken, another one takes.
func TestAnswerLost(t *testing.T) {
	for name, taken := range map[string]bool{"taken": true, "not taken": false} {
		synctest.Test(t, func(t *testing.T) {
			s := newTown()
			link := s.link("one")
			link.lose.Store(taken)
			link.deaf.Store(!taken)
			one := start(t, link)
			defer one.stop()
			time.Sleep(time.Second)
			two := start(t, s.link("two")) // it looks a second after the first one
			defer two.stop()
			keep(t, s, "gone")
			time.Sleep(7 * time.Minute)
			lost, _ := one.told()
			if all := lostBy(one, two); len(all) != 1 || (len(lost) == 1) != taken {
				t.Errorf("%s: it has %q, all have %q", name, lost, all)
			}
		})
	}
}

// TestTakerCrashes: what a replica has taken, and has crashed before it had saved what follows, its
// next process takes again, or another replica where there is none.
func TestTakerCrashes(t *testing.T) {
	for name, returns := range map[string]bool{"returns": true, "is gone": false} {
		synctest.Test(t, func(t *testing.T) {
			s := newTown()
			one := start(t, s.link("one"))
			one.crashes = true
			time.Sleep(time.Second)
			two := start(t, s.link("two"))
			defer two.stop()
			keep(t, s, "gone")
			time.Sleep(2 * time.Minute)
			if lost, _ := one.told(); len(lost) != 1 {
				t.Fatalf("%s: it has taken %q", name, lost)
			}
			one.stop()
			again := two
			if returns {
				again = start(t, s.link("one"))
				defer again.stop()
			}
			time.Sleep(30 * time.Minute)
			if lost, _ := again.told(); len(lost) != 1 || len(lostBy(two, again)) != 1 && again != two {
				t.Errorf("%s: taken %q", name, lost)
			}
		})
	}
}
