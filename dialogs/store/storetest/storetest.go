// Package storetest has the suites of tests that every store.Store and store.Journal has to
// pass. They are the contract that the Engine relies on with any store.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy"
)

const alice = "sip:alice@ims.example"

// Run tests a store. open returns a new, empty store, and closes it with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"nobody is known at first", empty},
		{"what was saved is loaded", saved},
		{"a slice given is not kept", copied},
		{"only the last version may be overwritten", versions},
		{"a deleted record starts anew", deleted},
		{"all records are walked over", walked},
		{"what goes with a record is kept with it", accompanied},
		{"of many writers at a time one wins", contended},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// full is a state with values of every type of field.
func full() policy.State {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 123456789, time.UTC)
	return policy.State{
		Phase: policy.Waiting, Sent: 2, Tries: 1, Episode: 7, Started: now, InFlight: true,
		Broken: []policy.Broken{
			{Event: "presence;id=7", Resource: "sip:bob@ims.example", CallID: "a@b", Cause: "408 Request Timeout", Told: true},
			{Event: "dialog", Resource: "tel:+4930123", CallID: "ü \"quoted\"", Progress: policy.Resubscribed},
		},
		More: 3, Deadline: now.Add(time.Minute), Alarm: true, BannedUntil: now.Add(time.Hour),
	}
}

func save(t *testing.T, s store.Store, aor string, version uint64, state policy.State) uint64 {
	t.Helper()
	v, err := s.Save(t.Context(), store.Record{AOR: aor, Version: version, State: state})
	if err != nil {
		t.Fatalf("save %s at version %d: %v", aor, version, err)
	}
	if v == 0 || v == version {
		t.Fatalf("save %s at version %d gave version %d", aor, version, v)
	}
	return v
}

func load(t *testing.T, s store.Store, aor string) store.Record {
	t.Helper()
	r, err := s.Load(t.Context(), aor)
	if err != nil {
		t.Fatalf("load %s: %v", aor, err)
	}
	return r
}

func empty(t *testing.T, s store.Store) {
	if r := load(t, s, alice); r.Version != 0 || !r.State.Equal(policy.State{}) {
		t.Errorf("loaded %+v", r)
	}
	for r, err := range s.All(t.Context()) {
		t.Errorf("there is %+v, %v", r, err)
	}
	if err := s.Delete(t.Context(), alice, 0); err != nil {
		t.Errorf("delete what is not there: %v", err)
	}
}

func saved(t *testing.T, s store.Store) {
	v := save(t, s, alice, 0, full())
	r := load(t, s, alice)
	if r.AOR != alice || r.Version != v || !r.State.Equal(full()) {
		t.Errorf("saved %+v, loaded %+v", full(), r)
	}
}

func copied(t *testing.T, s store.Store) {
	state := full()
	save(t, s, alice, 0, state)
	state.Broken[0].CallID = "changed after the save"
	load(t, s, alice).State.Broken[1].CallID = "changed after the load"
	if r := load(t, s, alice); !r.State.Equal(full()) {
		t.Errorf("loaded %+v", r.State)
	}
}

func versions(t *testing.T, s store.Store) {
	first := save(t, s, alice, 0, full())
	second := save(t, s, alice, first, policy.State{Sent: 2})
	for _, old := range []uint64{0, first, second + 1000} {
		_, err := s.Save(t.Context(), store.Record{AOR: alice, Version: old})
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("save at version %d: %v, want a conflict", old, err)
		}
		if err := s.Delete(t.Context(), alice, old); !errors.Is(err, store.ErrConflict) {
			t.Errorf("delete at version %d: %v, want a conflict", old, err)
		}
	}
	if r := load(t, s, alice); r.Version != second || r.State.Sent != 2 {
		t.Errorf("loaded %+v", r)
	}
	if _, err := s.Save(t.Context(), store.Record{AOR: "sip:nobody@ims.example", Version: 5}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("save what is gone: %v, want a conflict", err)
	}
}

func deleted(t *testing.T, s store.Store) {
	v := save(t, s, alice, 0, full())
	if err := s.Delete(t.Context(), alice, v); err != nil {
		t.Fatal(err)
	}
	if r := load(t, s, alice); r.Version != 0 {
		t.Errorf("loaded %+v", r)
	}
	// A version that was given before must not fit the new record.
	save(t, s, alice, 0, full())
	if err := s.Delete(t.Context(), alice, v); !errors.Is(err, store.ErrConflict) {
		t.Errorf("delete at the version of the deleted record: %v, want a conflict", err)
	}
}

func walked(t *testing.T, s store.Store) {
	want := make(map[string]uint64)
	for i := range 300 {
		aor := fmt.Sprintf("sip:user-%d@ims.example", i)
		want[aor] = save(t, s, aor, 0, policy.State{Sent: i + 1})
	}
	for r, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if want[r.AOR] != r.Version || r.State.Sent == 0 {
			t.Errorf("walked over %+v, want version %d", r, want[r.AOR])
		}
		delete(want, r.AOR)
	}
	if len(want) != 0 {
		t.Errorf("%d records were left out", len(want))
	}
	for _, err := range s.All(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		break // the caller may end the walk early
	}
}

func contended(t *testing.T, s store.Store) {
	var won atomic.Int32
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 20 {
				won.Add(add(t.Context(), t, s))
			}
		})
	}
	writers.Wait()
	if r := load(t, s, alice); r.State.Sent != int(won.Load()) {
		t.Errorf("%d saves went well, %d are counted", won.Load(), r.State.Sent)
	}
}

// add increments the count in the store; it returns 1 if that succeeded, else 0.
func add(ctx context.Context, t *testing.T, s store.Store) int32 {
	r, err := s.Load(ctx, alice)
	if err != nil {
		t.Error(err)
		return 0
	}
	r.State.Sent++
	switch _, err = s.Save(ctx, r); {
	case err == nil:
		return 1
	case !errors.Is(err, store.ErrConflict):
		t.Error(err)
	}
	return 0
}

// accompanied tests that entries are written with a record, and only if it is written.
func accompanied(t *testing.T, s store.Store) {
	with := func(key string) store.Entry {
		return store.Entry{Kind: store.KindAlarm, Key: key, Value: []byte("raised")}
	}
	v, err := s.Save(t.Context(), store.Record{AOR: alice, State: full()}, with("first"), with("second"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), store.Record{AOR: alice, State: full()}, with("third")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("saved over a version that is not known: %v", err)
	}
	if err := s.Delete(t.Context(), alice, v, store.Entry{Kind: store.KindAlarm, Key: "first"}, with("fourth")); err != nil {
		t.Error(err)
	}
	if err := s.Sync(t.Context(), ""); err != nil {
		t.Error(err)
	}
	for key, value := range map[string]string{"first": "", "second": "raised", "third": "", "fourth": "raised"} {
		expect(t, s, store.KindAlarm, key, value)
	}
}
