package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"rewatch/dialogs/store"
	"rewatch/dialogs/store/redis"
	"rewatch/dialogs/store/storetest"
	"rewatch/policy"
)

const carol = "sip:carol@ims.example"

// mini is a Redis in this process, so that the contract is kept offline too.
func mini(t *testing.T) *miniredis.Miniredis {
	t.Helper()
	return miniredis.RunT(t)
}

func connect(t *testing.T, m *miniredis.Miniredis, instance string) *redis.Store {
	t.Helper()
	c, err := redis.ParseURL("redis://" + m.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c.Instance = instance
	s := redis.New(c)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return connect(t, mini(t), "pod-1") })
	storetest.RunJournal(t, func(t *testing.T) store.Journal { return connect(t, mini(t), "pod-1") })
	storetest.RunShared(t, func(t *testing.T) (one, two store.Store) {
		m := mini(t)
		return connect(t, m, "pod-1"), connect(t, m, "pod-2")
	})
}

// A record that cannot be read, of a later version perhaps, keeps none of the others
// from being read; it is counted and stays as it is.
func TestUnreadable(t *testing.T) {
	for name, harm := range map[string]func(m *miniredis.Miniredis, key string){
		"state of a later version": func(m *miniredis.Miniredis, key string) { m.HSet(key, "s", `{"Phase":99}`) },
		"no state at all":          func(m *miniredis.Miniredis, key string) { m.HSet(key, "s", "\x00\x01") },
		"no version":               func(m *miniredis.Miniredis, key string) { m.HSet(key, "v", "first") },
	} {
		t.Run(name, func(t *testing.T) {
			m := mini(t)
			s := connect(t, m, "pod-1")
			for i := range 50 {
				if _, err := s.Save(t.Context(), store.Record{AOR: fmt.Sprintf("sip:u%d@ims.example", i), State: policy.State{Sent: 1}}); err != nil {
					t.Fatal(err)
				}
			}
			const key = "rewatch:user:{sip:u7@ims.example}"
			harm(m, key)
			before := m.Dump()
			found := 0
			for r, err := range s.All(t.Context()) {
				if err != nil || r.AOR == "sip:u7@ims.example" {
					t.Errorf("%v, %v", r, err)
				}
				found++
			}
			if found != 49 || s.Unreadable() != 1 {
				t.Errorf("%d were found, %d counted", found, s.Unreadable())
			}
			if _, err := s.Load(t.Context(), "sip:u7@ims.example"); !errors.Is(err, store.ErrUnreadable) {
				t.Errorf("loaded: %v", err)
			}
			if _, err := s.Save(t.Context(), store.Record{AOR: "sip:u7@ims.example", State: policy.State{Sent: 1}}); !errors.Is(err, store.ErrConflict) {
				t.Errorf("overwritten: %v", err)
			}
			if m.Dump() != before {
				t.Error("it was changed")
			}
		})
	}
}

func TestUnreadableEntry(t *testing.T) {
	m := mini(t)
	s := connect(t, m, "pod-1")
	var batch []store.Entry
	for i := range 20 {
		batch = append(batch, store.Entry{Kind: store.KindRegistration, Key: fmt.Sprint("user-", i), Value: []byte("here")})
	}
	if err := s.Write(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if err := m.Set("rewatch:registration:{user-3}", "short"); err != nil {
		t.Fatal(err)
	}
	found := 0
	for e, err := range s.Entries(t.Context(), store.KindRegistration) {
		if err != nil {
			t.Errorf("%v, %v", e, err)
		}
		found++
	}
	if _, ok, err := s.Read(t.Context(), store.KindRegistration, "user-3"); ok || err != nil {
		t.Errorf("read: %v, %v", ok, err)
	}
	if found != 19 || s.Unreadable() != 2 {
		t.Errorf("%d were found, %d counted", found, s.Unreadable())
	}
}

// Nothing stays for ever, and what is over is gone.
func TestTimeToLive(t *testing.T) {
	m := mini(t)
	s := connect(t, m, "pod-1")
	version, err := s.Save(t.Context(), store.Record{AOR: carol, State: policy.State{Sent: 1, Deadline: time.Now().Add(time.Minute)}},
		store.Entry{Kind: store.KindAlarm, Key: "a", Value: []byte("x"), Until: time.Now().Add(time.Hour)},
		store.Entry{Kind: store.KindAlarm, Key: "over", Value: []byte("x"), Until: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range m.Keys() {
		if m.TTL(key) <= 0 {
			t.Errorf("%s stays for ever", key)
		}
	}
	if _, ok, err := s.Read(t.Context(), store.KindAlarm, "over"); ok || err != nil {
		t.Errorf("what is over is read: %v, %v", ok, err)
	}
	m.FastForward(2 * time.Hour)
	if _, ok, err := s.Read(t.Context(), store.KindAlarm, "a"); ok || err != nil {
		t.Errorf("an entry outlives its end: %v, %v", ok, err)
	}
	if err := s.Delete(t.Context(), carol, version); err != nil {
		t.Fatal(err)
	}
	m.FastForward(time.Hour)
	if keys := m.Keys(); len(keys) != 0 {
		t.Errorf("left: %v", keys)
	}
}

// A Redis that has lost everything says so of what it is to have, and not of what is new.
func TestEmptied(t *testing.T) {
	m := mini(t)
	s := connect(t, m, "pod-1")
	version, err := s.Save(t.Context(), store.Record{AOR: carol, State: policy.State{Sent: 1}})
	if err != nil {
		t.Fatal(err)
	}
	m.FlushAll()
	if _, err := s.Save(t.Context(), store.Record{AOR: carol, Version: version}); !errors.Is(err, store.ErrLost) {
		t.Errorf("saved: %v", err)
	}
	if _, err := s.Save(t.Context(), store.Record{AOR: carol, State: policy.State{Sent: 2}}); err != nil {
		t.Errorf("saved anew: %v", err)
	}
}

// A Redis that answers with errors is an error to everything at once, and is used again
// as soon as somebody has got an answer.
func TestErrors(t *testing.T) {
	m := mini(t)
	s := connect(t, m, "pod-1")
	m.SetError("LOADING Redis is loading the dataset in memory")
	ctx := t.Context()
	for name, err := range map[string]error{
		"ping":   s.Ping(ctx),
		"save":   errOf(s.Save(ctx, store.Record{AOR: carol, State: policy.State{Sent: 1}})),
		"load":   errOf(s.Load(ctx, carol)),
		"delete": s.Delete(ctx, carol, 1),
		"write":  s.Write(ctx, []store.Entry{{Kind: store.KindAlarm, Key: "a", Value: []byte("x")}}),
		"read":   readErr(s),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, err := range s.All(ctx) {
		if err == nil {
			t.Error("records are walked over")
		}
	}
	for _, err := range s.Entries(ctx, store.KindAlarm) {
		if err == nil {
			t.Error("entries are walked over")
		}
	}
	if _, err := s.Load(ctx, carol); !errors.Is(err, redis.ErrAway) {
		t.Errorf("it is still asked: %v", err)
	}
	m.SetError("")
	if err := s.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(ctx, carol); err != nil {
		t.Errorf("it is not asked again: %v", err)
	}
}

func errOf[T any](_ T, err error) error { return err }

func readErr(s *redis.Store) error {
	_, _, err := s.Read(context.Background(), store.KindAlarm, "a")
	return err
}

// A walk finds everything, and its reader may leave.
func TestWalk(t *testing.T) {
	m := mini(t)
	s := connect(t, m, "pod-1")
	const many = 2100 // three pages; the stand-in for Redis takes its time for each, and has half a second
	var batch []store.Entry
	for i := range many {
		batch = append(batch, store.Entry{Kind: store.KindSubscription, Key: fmt.Sprint(i), Value: []byte("x")})
	}
	if err := s.Write(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, err := range s.Entries(t.Context(), store.KindSubscription) {
		if err != nil {
			t.Fatal(err)
		}
		found++
	}
	if found != many {
		t.Errorf("%d of %d", found, many)
	}
	for _, err := range s.Entries(t.Context(), store.KindSubscription) {
		if err != nil {
			t.Error(err)
		}
		break // a reader may leave
	}
	for _, err := range s.All(t.Context()) {
		t.Errorf("there is a record, %v", err)
		break
	}
}

// Who watches is told to compare everything after each beginning, also when Redis was away.
func TestWatchAgain(t *testing.T) {
	m := mini(t)
	one, two := connect(t, m, "pod-1"), connect(t, m, "pod-2")
	ctx, cancel := context.WithCancel(t.Context())
	resyncs, changes := make(chan struct{}, 9), make(chan string, 9)
	var watching sync.WaitGroup
	watching.Go(func() {
		_ = one.Watch(ctx, func(aor string) { changes <- aor }, func() { resyncs <- struct{}{} })
	})
	<-resyncs
	if _, err := two.Save(t.Context(), store.Record{AOR: carol, State: policy.State{Sent: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := <-changes; got != carol {
		t.Errorf("told of %s", got)
	}
	m.Close()
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	<-resyncs
	cancel()
	watching.Wait()
	if !one.Shared() || one.Sync(t.Context(), carol) != nil {
		t.Error("it is not shared, or has to be synced")
	}
	var _ io.Closer = one
}

// TestTakenAgain: what an instance has taken it gets again, in its next process too; another one
// gets it after ten minutes, if it is still there.
func TestTakenAgain(t *testing.T) {
	m := mini(t)
	one, two := connect(t, m, "pod-1"), connect(t, m, "pod-2")
	e := store.Entry{Kind: store.KindKept, Key: "gone\x00call", Value: []byte("kept"), Until: time.Now().Add(time.Hour)}
	if err := one.Write(t.Context(), []store.Entry{e}); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		by   *redis.Store
		late time.Duration
		want bool
	}{{one, 0, true}, {two, 0, false}, {connect(t, m, "pod-1"), 9 * time.Minute, true}, {two, 9 * time.Minute, false}, {two, 2 * time.Minute, true}, {one, 0, false}} {
		m.FastForward(c.late)
		got, ok, err := c.by.Take(t.Context(), e.Kind, e.Key)
		if err != nil || ok != c.want || ok && string(got.Value) != "kept" {
			t.Errorf("%d: took %q, %v, %v", i, got.Value, ok, err)
		}
	}
	e.Value = nil
	if err := two.Write(t.Context(), []store.Entry{e}); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := two.Take(t.Context(), e.Kind, e.Key); ok || err != nil {
		t.Errorf("taken after it was removed: %v", err)
	}
}
