package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs/store"
)

// learner is a Source that has learnt some entries.
type learner struct {
	mu       sync.Mutex
	kind     store.Kind
	learnt   []store.Entry
	restored []string
	settled  int
}

func (*learner) Attach(*store.Keeper) {}

func (l *learner) Kinds() []store.Kind { return []store.Kind{l.kind} }

func (l *learner) Restore(e store.Entry, _ time.Time) bool {
	l.restored = append(l.restored, e.Key)
	return len(e.Value) > 1
}

func (l *learner) learn(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.learnt = append(l.learnt, store.Entry{Kind: l.kind, Key: key, Value: []byte("value")})
}

func (l *learner) Collect(room int) (entries []store.Entry, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(room, len(l.learnt))
	entries, l.learnt = l.learnt[:n], l.learnt[n:]
	return entries, len(l.learnt) > 0
}

func (l *learner) Settle(context.Context) { l.settled++ }

func (l *learner) Unwritten() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.learnt)
}

// shaky is a Journal that may be away.
type shaky struct {
	*store.MemoryStore
	mu   sync.Mutex
	away bool
	all  []string
}

var errAway = errors.New("connection refused")

func (s *shaky) Write(ctx context.Context, batch []store.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	for _, e := range batch {
		s.all = append(s.all, e.Key)
	}
	return s.MemoryStore.Write(ctx, batch)
}

func (s *shaky) Entries(ctx context.Context, kind store.Kind) iter.Seq2[store.Entry, error] {
	if !s.away {
		return s.MemoryStore.Entries(ctx, kind)
	}
	return func(yield func(store.Entry, error) bool) { yield(store.Entry{}, errAway) }
}

func (s *shaky) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func (s *shaky) written() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// What is learnt is written behind, all of it, in the order in which it follows; a
// Journal that is away loses nothing, and at the end what is left is written.
func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &shaky{MemoryStore: store.NewMemoryStore()}
		subs, alarms := &learner{kind: store.KindSubscription}, &learner{kind: store.KindAlarm}
		k := store.NewKeeper(store.KeeperConfig{}, j, zerolog.New(io.Discard), subs, alarms)
		k.Start(t.Context())
		for i := range 5000 {
			subs.learn(fmt.Sprint("s", i))
		}
		alarms.learn("alarm")
		k.Keep(store.Entry{Kind: store.KindOutage, Key: "hop", Value: []byte("old")}, store.Entry{Kind: store.KindOutage, Key: "hop", Value: []byte("new")})
		if n := k.Pending(); n != 5002 {
			t.Errorf("%d are pending", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := j.written(); n != 5002 || k.Pending() != 0 {
			t.Errorf("%d were written, %d are pending", n, k.Pending())
		}
		if j.all[0] != "hop" || j.all[1] != "alarm" { // what came before, and what the first follows from
			t.Errorf("written first: %v", j.all[:3])
		}
		if e, ok, _ := j.Read(t.Context(), store.KindOutage, "hop"); !ok || string(e.Value) != "new" {
			t.Errorf("kept %q, %v", e.Value, ok)
		}

		j.set(true)
		subs.learn("late")
		k.Hurry()
		time.Sleep(time.Second)
		if j.written() != 5002 || k.Pending() == 0 {
			t.Error("it was written to a Journal that is away")
		}
		j.set(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if j.written() != 5003 || k.Pending() != 0 {
			t.Errorf("%d were written when it was back, %d are pending", j.written(), k.Pending())
		}
		subs.learn("last")
		if err := k.Shutdown(t.Context()); err != nil || j.written() != 5004 {
			t.Errorf("at the end %d were written, %v", j.written(), err)
		}
		if subs.settled == 0 {
			t.Error("nobody was asked whether it may be written")
		}
	})
}

// Each Source gets what is of its kinds. Where others write too, what all know together
// is not taken up, and one that is away keeps nobody from starting.
func TestRestore(t *testing.T) {
	for _, shared := range []bool{false, true} {
		j := &shaky{MemoryStore: store.NewMemoryStore()}
		for _, e := range []store.Entry{
			{Kind: store.KindSubscription, Key: "whole", Value: []byte("value")},
			{Kind: store.KindSubscription, Key: "odd", Value: []byte("v")},
			{Kind: store.KindRegistration, Key: "alice", Value: []byte("value")},
			{Kind: store.KindAlarm, Key: "alarm", Value: []byte("value")},
		} {
			if err := j.Write(t.Context(), []store.Entry{e}); err != nil {
				t.Fatal(err)
			}
		}
		subs, regs := &learner{kind: store.KindSubscription}, &learner{kind: store.KindRegistration}
		k := store.NewKeeper(store.KeeperConfig{Shared: shared}, j, zerolog.New(io.Discard), subs, regs)
		if err := k.Restore(t.Context()); err != nil || len(subs.restored) != 2 || len(regs.restored) == 1 == shared {
			t.Errorf("shared %v: %v, restored %v and %v", shared, err, subs.restored, regs.restored)
		}
		if (k.SharedJournal() != nil) != shared {
			t.Errorf("shared %v: the journal is %v", shared, k.SharedJournal())
		}
		j.set(true)
		if err := k.Restore(t.Context()); errors.Is(err, errAway) == shared {
			t.Errorf("shared %v: one that is away gives %v", shared, err)
		}
	}
}

// Who waits no longer than a context for the last batch is told that it is not written.
func TestShutdownInTime(t *testing.T) {
	k := store.NewKeeper(store.KeeperConfig{}, store.NewMemoryStore(), zerolog.Nop())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Shutdown(ctx); !errors.Is(err, context.Canceled) { // it was never started
		t.Errorf("%v", err)
	}
}

func TestKinds(t *testing.T) {
	names := make(map[string]bool)
	for _, kind := range store.Kinds() {
		names[kind.String()] = true
		if kind.Shared() != (kind == store.KindRegistration || kind == store.KindFlap || kind == store.KindReplica || kind == store.KindKept) {
			t.Errorf("%s: shared %v", kind, kind.Shared())
		}
	}
	if len(names) != len(store.Kinds()) || names["unknown"] || store.Kind(0).String() != "unknown" {
		t.Errorf("%v", names)
	}
	e := store.Entry{Key: "k"}.With(map[string]int{"a": 1}, time.Unix(7, 0))
	if string(e.Value) != `{"a":1}` || !e.Until.Equal(time.Unix(7, 0)) {
		t.Errorf("%+v", e)
	}
	if e := (store.Entry{}).With(func() {}, time.Time{}); e.Value != nil {
		t.Errorf("%+v", e)
	}
}

// Once calls when what was learnt before is written; where the Journal is away, nobody is
// kept waiting.
func TestKeeperOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &shaky{MemoryStore: store.NewMemoryStore()}
		subs := &learner{kind: store.KindSubscription}
		k := store.NewKeeper(store.KeeperConfig{}, j, zerolog.New(io.Discard), subs)
		k.Start(t.Context())
		for _, away := range []bool{false, true, false} {
			j.set(away)
			before := j.written()
			var called atomic.Int32
			subs.learn(fmt.Sprint("away ", away, before))
			k.Once(func() {
				called.Add(1)
				if (j.written() == before) != away {
					t.Errorf("away %v: %d are written, were %d", away, j.written(), before)
				}
			})
			synctest.Wait()
			if called.Load() > 0 {
				t.Error("called before its time")
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if n := called.Load(); n != 1 {
				t.Errorf("called %d times", n)
			}
		}
		if err := k.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
