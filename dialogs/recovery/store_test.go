package recovery_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy"
)

// moody is a store that fails while away is set.
type moody struct {
	*store.MemoryStore
	away atomic.Bool
}

func (m *moody) Save(ctx context.Context, r store.Record, with ...store.Entry) (uint64, error) {
	if m.away.Load() {
		return 0, errors.New("connection refused")
	}
	return m.MemoryStore.Save(ctx, r, with...)
}

// Without its store the recovery goes on, but nobody is de-registered.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &moody{MemoryStore: store.NewMemoryStore()}
		store.away.Store(true)
		cfg := config()
		cfg.Rules.Threshold = 1
		r := newRig(t, cfg, store)
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(time.Minute)
		r.expect(`
			0s      raise store-unavailable of state-store, major
			500ms   MESSAGE 1 of 1 to sip:alice@ims.example by sip:scscf.ims.example:6060;lr: bob
			30.51s  raise watcher-exhausted of sip:alice@ims.example, minor`)
		r.expectMetric(1, "rewatch_deregistrations_total", "result", "skipped", "target", "core")
		if n := r.Pending(); n != 1 {
			t.Errorf("%d users are not saved, want 1", n)
		}

		store.away.Store(false)
		r.at(62 * time.Second)
		r.expect(`1m1s  clear store-unavailable of state-store`)
		if n := r.Pending(); n != 0 {
			t.Errorf("%d users are not saved", n)
		}
		rec, err := store.Load(t.Context(), alice)
		if err != nil || rec.State.Phase != policy.Exhausted || !rec.State.StaysRegistered {
			t.Errorf("saved %+v, %v", rec, err)
		}
		r.offer(policy.NotifyOK, "bob", "call-2")
		r.Reset(alice)
		r.expectForgotten()
		r.stop()
	})
}

// fullDisk cannot keep what it is given while it is full. It notices at the commit.
type fullDisk struct {
	*store.MemoryStore
	full, noticed atomic.Bool
}

func (d *fullDisk) Save(ctx context.Context, r store.Record, with ...store.Entry) (uint64, error) {
	if d.noticed.Load() && d.Ping(ctx) != nil {
		return 0, d.Ping(ctx)
	}
	return d.MemoryStore.Save(ctx, r, with...)
}

func (d *fullDisk) Ping(context.Context) error {
	d.noticed.Store(d.full.Load())
	if d.full.Load() {
		return errors.New("no space left on device")
	}
	return nil
}

func (d *fullDisk) Sync(ctx context.Context, _ string) error { return d.Ping(ctx) }

// A disk that is full is noticed before anything has to be saved, and by a request
// that is to leave. MESSAGEs go on, nobody is de-registered.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fullDisk{MemoryStore: store.NewMemoryStore()}
		cfg := config()
		cfg.Rules.Threshold = 1
		r := newRig(t, cfg, store)
		store.full.Store(true)
		r.at(3 * time.Second)
		store.full.Store(false)
		r.at(5 * time.Second)
		r.expect(`
			2s  raise store-unavailable of state-store, major
			4s  clear store-unavailable of state-store`)

		r.offer(policy.NotifyFailed, "bob", "call-1")
		store.full.Store(true)
		r.at(time.Minute)
		r.expect(`
			5.5s    raise store-unavailable of state-store, major
			5.5s    MESSAGE 1 of 1 to sip:alice@ims.example by sip:scscf.ims.example:6060;lr: bob
			35.51s  raise watcher-exhausted of sip:alice@ims.example, minor`)
		r.expectMetric(1, "rewatch_deregistrations_total", "result", "skipped", "target", "core")
		store.full.Store(false)
		r.at(63 * time.Second)
		r.expect(`1m0.51s  clear store-unavailable of state-store`)
		r.stop()
	})
}

// A restart takes up the recovery where it was, with its alarms.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := store.NewMemoryStore()
		cfg := config()
		cfg.Rules.Threshold = 2
		r := newRig(t, cfg, store)
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(10 * time.Second)
		r.stop()
		r.expect(`500ms  MESSAGE 1 of 2 to sip:alice@ims.example by sip:scscf.ims.example:6060;lr: bob`)

		// The SUBSCRIBE was awaited until 30.5 s; one that found nobody comes again.
		time.Sleep(time.Minute)
		r = newRig(t, cfg, store)
		r.at(50 * time.Second)
		r.expect(`5s  MESSAGE 2 of 2 to sip:alice@ims.example by sip:scscf.ims.example:6060;lr: bob`)
		if v := r.Recoveries(); len(v) != 1 || v[0].Attempt != 2 || v[0].Ended != nil {
			t.Errorf("recoveries %+v", v)
		}
		r.at(2 * time.Minute)
		r.expect(`
			1m5.01s  raise watcher-exhausted of sip:alice@ims.example, minor
			1m5.01s  REGISTER sip:alice@ims.example at core by sip:scscf.ims.example:6060;lr: "sip:alice@192.0.2.7:5066"
			1m5.02s  signed out sip:alice@ims.example`)
		r.stop()

		r = newRig(t, cfg, store)
		r.at(time.Second)
		r.expect(`
			0s  adopt watcher-exhausted of sip:alice@ims.example
			0s  signed out sip:alice@ims.example`)
		r.at(25 * time.Hour)
		r.expect(`23h59m5.01s  clear watcher-exhausted of sip:alice@ims.example`)
		r.expectForgotten()
		r.stop()
	})
}

// Two replicas share a store: one user has one count, and what one of them
// decided without knowing of the other is decided anew.
func TestReplicasShareTheCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := store.NewMemoryStore()
		cfg := config()
		cfg.Rules.Threshold, cfg.Rules.Coalesce = 1, 0
		one, two := newRig(t, cfg, store), newRig(t, cfg, store)
		one.offer(policy.NotifyFailed, "bob", "call-1")
		one.at(time.Second)
		two.offer(policy.NotifyFailed, "eve", "call-2") // joins what the other replica began
		two.at(2 * time.Second)
		one.expect(`0s  MESSAGE 1 of 1 to sip:alice@ims.example by sip:scscf.ims.example:6060;lr: bob`)
		two.expect(``)
		if s, _ := two.State(alice); s.Sent != 1 || len(s.Broken) != 2 {
			t.Errorf("the second replica has %+v", s)
		}
		one.at(time.Minute)
		one.stop()
		two.stop()
		rec, err := store.Load(t.Context(), alice)
		if err != nil || rec.State.Phase != policy.Exhausted {
			t.Errorf("saved %+v, %v", rec, err)
		}
	})
}
