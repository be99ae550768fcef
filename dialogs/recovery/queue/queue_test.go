package queue

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs/store"
)

// bench runs a queue and notes when its jobs began.
type bench struct {
	*Queue
	t        *testing.T
	start    time.Time
	mu       sync.Mutex
	begun    []time.Duration
	stop     context.CancelFunc
	stopped  chan struct{}
	occupied time.Duration // how long a job runs
}

func run(t *testing.T, q *Queue, occupied time.Duration) *bench {
	turns, stop := context.WithCancel(t.Context())
	b := &bench{Queue: q, t: t, start: time.Now(), stop: stop, stopped: make(chan struct{}), occupied: occupied}
	go func() {
		defer close(b.stopped)
		q.Run(turns, context.WithoutCancel(turns))
	}()
	return b
}

func (b *bench) job(ready func(Job) bool) Job {
	if ready == nil {
		ready = func(Job) bool { return true }
	}
	return Job{Ready: ready, Run: func(ctx context.Context) {
		b.mu.Lock()
		b.begun = append(b.begun, time.Since(b.start))
		b.mu.Unlock()
		Sleep(ctx, b.occupied)
	}}
}

func (b *bench) end() {
	b.stop()
	<-b.stopped
}

func (b *bench) times() []time.Duration {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Duration(nil), b.begun...)
}

// Jobs begin evenly, no more at once than there are slots, and what finds no room is told.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := run(t, New(10, 2, 3), 250*time.Millisecond)
		for range 3 {
			if !b.Push(b.job(nil)) {
				t.Error("no room")
			}
		}
		if b.Push(b.job(nil)) {
			t.Error("there is room for a fourth")
		}
		b.Again(b.job(nil)) // had found room before
		time.Sleep(5 * time.Second)
		want := []time.Duration{0, 100 * time.Millisecond, 250 * time.Millisecond, 350 * time.Millisecond}
		got := b.times()
		if len(got) != len(want) {
			t.Fatalf("began at %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("began at %v, want %v", got, want)
				break
			}
		}
		b.end()
	})
}

// A job that is not ready when its turn is near, or when it has come, does not begin and
// takes no slot.
func TestNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := run(t, New(0, 1, 10), 0)
		asked := 0
		b.Push(b.job(func(Job) bool { return false }))
		b.Push(b.job(func(Job) bool { asked++; return asked == 1 }))
		b.Push(b.job(nil))
		time.Sleep(time.Second)
		if got := b.times(); len(got) != 1 || asked != 2 {
			t.Errorf("%d began, the second was asked %d times", len(got), asked)
		}
		b.end()
	})
}

// No more begin in any hour than the cap allows. It is told when the cap begins to hold
// something up, and when it ceases to.
func TestCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan bool, 10)
		q := New(0, 4, 10)
		q.Hourly = NewCap(2, func(bites bool) { told <- bites })
		b := run(t, q, 0)
		for range 3 {
			b.Push(b.job(nil))
		}
		time.Sleep(time.Minute)
		if got := b.times(); len(got) != 2 || len(told) != 1 || !<-told {
			t.Fatalf("%d began", len(got))
		}
		time.Sleep(3 * time.Hour)
		if got := b.times(); len(got) != 3 || got[2] != time.Hour || len(told) != 1 || <-told {
			t.Errorf("began at %v", got)
		}
		b.end()
		if NewCap(0, nil) != nil {
			t.Error("0 is a cap")
		}
	})
}

// The cap counts what an earlier process has begun, and never lets more begin for it.
func TestCapOverRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCap(5, func(bool) {})
		if batch := c.Collect(nil); batch != nil {
			t.Errorf("nothing is noted as %v", batch)
		}
		for range 3 {
			c.take(time.Now())
			time.Sleep(10 * time.Minute)
		}
		batch := c.Collect(nil)
		if len(batch) != 1 || batch[0].Kind != store.KindSignOuts || len(c.Collect(nil)) != 0 {
			t.Fatalf("noted %v", batch)
		}
		next := NewCap(5, func(bool) {})
		if !next.Restore(batch[0], time.Now()) || next.Restore(store.Entry{Key: "other"}, time.Now()) {
			t.Error("it was not restored, or something else was")
		}
		next.take(time.Now())
		next.take(time.Now())
		if room := next.room(time.Now()); room <= 0 {
			t.Error("five have begun, and there is room")
		}
		time.Sleep(35 * time.Minute) // the first is an hour old by now
		if room := next.room(time.Now()); room > 0 {
			t.Errorf("no room for %s", room)
		}
		var none *Cap
		none.take(time.Now())
		if none.Collect(nil) != nil || none.Restore(batch[0], time.Now()) || !none.await(t.Context()) {
			t.Error("no cap holds something up")
		}
	})
}

// What waits for a turn, for the cap or for a slot gives up when the turns end.
func TestTurnsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		capped := New(0, 1, 10)
		capped.Hourly = NewCap(1, func(bool) {})
		for name, q := range map[string]*Queue{"slot": New(0, 1, 10), "pace": New(0.001, 5, 10), "cap": capped} {
			b := run(t, q, time.Hour)
			for range 3 {
				b.Push(b.job(nil))
			}
			time.Sleep(time.Minute)
			if got := b.times(); len(got) != 1 {
				t.Errorf("%s: %d began", name, len(got))
			}
			b.end()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if SleepUntil(ctx, time.Now()) || SleepUntil(ctx, time.Now().Add(time.Hour)) || !SleepUntil(t.Context(), time.Now()) {
			t.Error("a wait takes no notice of its context")
		}
	})
}
