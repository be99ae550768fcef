package holddown

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs/store"
)

const alice = "sip:alice@ims.example"

var dawn = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func newUsers() *Users {
	return New(time.Minute, prometheus.NewCounter(prometheus.CounterOpts{Name: "forgotten"}))
}

// Who is given up again soon after a sign-out is spared, each time for twice as long, up to
// four hours. An hour of peace ends it.
func TestDoubles(t *testing.T) {
	u, now := newUsers(), dawn
	if wait, _ := u.Wait(alice, 1, 1, now); wait != 0 {
		t.Errorf("somebody who was never signed out waits %s", wait)
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 240, 240} {
		want *= time.Minute
		u.SignedOut(alice, now)
		now = now.Add(50 * time.Minute)
		episode := uint64(i + 2)
		wait, times := u.Wait(alice, episode, 1, now)
		if wait != want || times != i+1 {
			t.Errorf("after %d sign-outs: %s, %d", i+1, wait, times)
		}
		// Asked again in the same episode, after a restart say, it is no longer.
		if again, times := u.Wait(alice, episode, 1, now.Add(30*time.Second)); again != want-30*time.Second || times != 0 {
			t.Errorf("asked again: %s, %d", again, times)
		}
		if second, _ := u.Wait(alice, episode, 2, now); second != 0 {
			t.Errorf("the second try waits %s", second)
		}
		now = now.Add(want)
	}
	u.SignedOut(alice, now)
	now = now.Add(window + longest + time.Second)
	if wait, _ := u.Wait(alice, 99, 1, now); wait != 0 {
		t.Errorf("after some peace: %s", wait)
	}
	u.SignedOut(alice, now) // it begins anew
	if wait, times := u.Wait(alice, 100, 1, now.Add(time.Minute)); wait != time.Minute || times != 1 {
		t.Errorf("after some peace: %s, %d", wait, times)
	}
}

// What is remembered outlives a restart, and other replicas know it.
func TestOthersKnow(t *testing.T) {
	journal := store.NewMemoryStore()
	one := newUsers()
	one.SignedOut("sip:before@ims.example", dawn) // nobody writes yet
	if n := one.Unwritten(); n != 0 {
		t.Errorf("%d are noted", n)
	}
	one.Attach(nil)
	one.SignedOut(alice, dawn)
	if n := one.Unwritten(); n != 1 {
		t.Fatalf("%d are noted", n)
	}
	batch := one.Collect(nil)
	if len(batch) != 1 || batch[0].Key != alice || !batch[0].Until.Equal(dawn.Add(window+longest)) || one.Unwritten() != 0 {
		t.Fatalf("%+v", batch)
	}

	restarted := newUsers()
	if !restarted.Restore(batch[0], dawn.Add(time.Minute)) {
		t.Error("not restored")
	}
	if wait, times := restarted.Wait(alice, 1, 1, dawn.Add(time.Minute)); wait != time.Minute || times != 1 {
		t.Errorf("after a restart: %s, %d", wait, times)
	}
	for name, entry := range map[string]store.Entry{"over": batch[0], "nonsense": {Kind: store.KindFlap, Key: "x", Value: []byte("{")}, "empty": {Key: "x", Value: []byte("{}")}} {
		if newUsers().Restore(entry, dawn.Add(window+longest+1)) {
			t.Errorf("restored: %s", name)
		}
	}

	batch[0].Until = time.Now().Add(time.Hour) // for the store, which has a clock
	if err := journal.Write(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	other := newUsers()
	other.Attach(journal)
	if wait, times := other.Wait(alice, 1, 1, dawn.Add(time.Minute)); wait != time.Minute || times != 1 {
		t.Errorf("at another replica: %s, %d", wait, times)
	}
	if wait, _ := other.Wait("sip:bob@ims.example", 1, 1, dawn); wait != 0 {
		t.Errorf("somebody else: %s", wait)
	}
}
