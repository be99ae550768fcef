package storetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy"
)

// RunShared tests a store that several processes share. open opens the same empty store twice,
// as two processes do.
func RunShared(t *testing.T, open func(t *testing.T) (one, two store.Store)) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, one, two store.Store)
	}{
		{"what one saves the other loads", both},
		{"a change of another is told", told},
		{"a deletion is no loss", deletion},
		{"an entry is taken once", taken},
	} {
		t.Run(test.name, func(t *testing.T) {
			one, two := open(t)
			test.run(t, one, two)
		})
	}
}

func both(t *testing.T, one, two store.Store) {
	v := save(t, one, alice, 0, full())
	if r := load(t, two, alice); r.Version != v || !r.State.Equal(full()) {
		t.Errorf("saved %+v, loaded %+v", full(), r)
	}
	save(t, two, alice, v, policy.State{Sent: 3})
	if _, err := one.Save(t.Context(), store.Record{AOR: alice, Version: v}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("save what the other has changed: %v, want a conflict", err)
	}
}

// diary records the calls of Watch.
type diary struct {
	mu      sync.Mutex
	changed map[string]int
	resyncs int
}

func (d *diary) change(aor string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changed[aor]++
}

func (d *diary) resync() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resyncs++
}

// until waits until the diary satisfies holds.
func (d *diary) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 500 {
		d.mu.Lock()
		ok := holds()
		d.mu.Unlock()
		if ok {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("was not told of %s", what)
}

func told(t *testing.T, one, two store.Store) {
	d := &diary{changed: make(map[string]int)}
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := two.Watch(ctx, d.change, d.resync); err != nil {
			t.Error(err)
		}
	})
	defer watching.Wait()
	defer cancel()
	d.until(t, "the beginning", func() bool { return d.resyncs > 0 })
	save(t, two, "sip:own@ims.example", 0, full())
	v := save(t, one, alice, 0, full())
	d.until(t, "the save", func() bool { return d.changed[alice] == 1 })
	if err := one.Delete(t.Context(), alice, v); err != nil {
		t.Fatal(err)
	}
	d.until(t, "the deletion", func() bool { return d.changed[alice] == 2 })
	d.until(t, "nothing of its own", func() bool { return d.changed["sip:own@ims.example"] == 0 })
}

func deletion(t *testing.T, one, two store.Store) {
	v := save(t, one, alice, 0, full())
	if err := two.Delete(t.Context(), alice, v); err != nil {
		t.Fatal(err)
	}
	_, err := one.Save(t.Context(), store.Record{AOR: alice, Version: v})
	if !errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrLost) {
		t.Errorf("save what the other has deleted: %v, want a conflict that is no loss", err)
	}
}

// taken: of two that take an entry at the same time exactly one gets it, and gets it again until it
// is removed.
func taken(t *testing.T, one, two store.Store) {
	const n = 100
	var batch []store.Entry
	for i := range n {
		batch = append(batch, store.Entry{Kind: store.KindKept, Key: strconv.Itoa(i), Value: []byte("kept"), Until: later()})
	}
	write(t, one, batch...)
	take := func() (all [2][]string) {
		var takers sync.WaitGroup
		for of, s := range []store.Store{one, two} {
			from, ok := s.(store.Taker)
			if !ok {
				t.Fatal("entries cannot be taken")
			}
			takers.Go(func() {
				for i := range n {
					e, ok, err := from.Take(t.Context(), store.KindKept, strconv.Itoa(i))
					if err != nil || ok && string(e.Value) != "kept" {
						t.Errorf("took %q: %v", e.Value, err)
					}
					if ok {
						all[of] = append(all[of], e.Key)
					}
				}
			})
		}
		takers.Wait()
		return all
	}
	first, again := take(), take()
	if all := len(first[0]) + len(first[1]); all != n || !slices.Equal(first[0], again[0]) || !slices.Equal(first[1], again[1]) {
		t.Errorf("%d of %d were taken; again %d and %d", all, n, len(again[0]), len(again[1]))
	}
	for i := range batch {
		batch[i].Value = nil
	}
	write(t, two, batch...)
	if all := take(); len(all[0])+len(all[1]) > 0 {
		t.Errorf("taken after they were removed: %q", all)
	}
}
