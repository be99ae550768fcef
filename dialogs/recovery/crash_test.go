package recovery_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"rewatch/dialogs/recovery"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

// disk is a store that writes behind, as the state file does: a crash takes away
// what was saved since it was written last.
type disk struct {
	*store.MemoryStore
	every time.Duration

	mu      sync.Mutex
	written map[string]store.Record
	pending bool
	gone    bool
}

// commitTakes is how long a commit takes. No kill falls on the very moment of its end:
// then a MESSAGE that has not left would be taken to have.
const commitTakes = 3*time.Millisecond + 137*time.Microsecond

func newDisk(every time.Duration, written map[string]store.Record) *disk {
	d := &disk{MemoryStore: store.NewMemoryStore(), every: every, written: written}
	for _, r := range written {
		r.Version = 0
		if _, err := d.MemoryStore.Save(context.Background(), r); err != nil {
			panic(err)
		}
	}
	return d
}

func (d *disk) Save(ctx context.Context, r store.Record, with ...store.Entry) (uint64, error) {
	defer d.later()
	return d.MemoryStore.Save(ctx, r, with...)
}

func (d *disk) Delete(ctx context.Context, aor string, version uint64, with ...store.Entry) error {
	defer d.later()
	return d.MemoryStore.Delete(ctx, aor, version, with...)
}

func (d *disk) later() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.pending {
		d.pending = true
		time.AfterFunc(d.every, func() { _ = d.Sync(context.Background(), "") })
	}
}

// Sync writes what is saved.
func (d *disk) Sync(context.Context, string) error {
	now := make(map[string]store.Record)
	for r, err := range d.All(context.Background()) {
		if err != nil {
			return err
		}
		now[r.AOR] = r
	}
	time.Sleep(commitTakes)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = false
	if !d.gone {
		d.written = now
	}
	return nil
}

// crash returns what is on the disk; nothing more is written.
func (d *disk) crash() map[string]store.Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = true
	return d.written
}

// crash ends a rig as SIGKILL does: nobody hears of what it does from now on.
func (r *rig) crash() map[string]store.Record {
	written := r.store.(*disk).crash()
	r.mu.Lock()
	r.dead = true
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.Shutdown(ctx)
	return written
}

// lives is a rig that is killed and started again.
type lives struct {
	*rig
	t     *testing.T
	cfg   recovery.Config
	began time.Time
	diary []string // of the lives before
}

func (l *lives) start(written map[string]store.Record) {
	l.rig = newRig(l.t, l.cfg, newDisk(100*time.Millisecond, written))
	l.change(func() { l.delay = 400 * time.Millisecond })
}

// restart kills the rig and starts it again after a pause.
func (l *lives) restart(pause time.Duration) {
	written := l.crash()
	l.collect()
	time.Sleep(pause)
	l.start(written)
}

func (l *lives) collect() {
	l.change(func() {
		l.diary = append(l.diary, l.rig.diary...)
		l.rig.diary = nil
	})
}

// requests are the requests of a kind that have left in all lives.
func (l *lives) requests(kind string) (all []string) {
	l.collect()
	for _, line := range l.diary {
		if _, what, _ := strings.Cut(strings.TrimSpace(line), "  "); strings.HasPrefix(what, kind) {
			all = append(all, what)
		}
	}
	return all
}

// Killed at any moments of the way to a sign-out: no MESSAGE is sent twice, no
// strike is lost, and there is no second de-REGISTER.
func TestKilledOnTheWayToSignOut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var kills []time.Duration
		for range rapid.IntRange(1, 6).Draw(rt, "kills") {
			kills = append(kills, time.Duration(rapid.IntRange(1, 20_000).Draw(rt, "ms"))*time.Millisecond)
		}
		var trouble string
		synctest.Test(t, func(t *testing.T) { trouble = killOnTheWay(t, kills) })
		if trouble != "" {
			rt.Fatal(trouble)
		}
	})
}

func killOnTheWay(t *testing.T, kills []time.Duration) string {
	cfg := config()
	cfg.Rules.ResubscribeTimeout = 2 * time.Second
	l := &lives{t: t, cfg: cfg, began: time.Now()}
	l.start(nil)
	l.offer(policy.NotifyFailed, "bob", "call-1")
	time.Sleep(150 * time.Millisecond) // what comes before may be lost with the failure
	for _, after := range kills {
		time.Sleep(after)
		l.restart(time.Second)
	}
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	s, _ := l.State(alice)
	messages, registers := l.requests("MESSAGE"), l.requests("REGISTER")
	l.stop()
	var want []string
	for i := range cfg.Rules.Threshold {
		want = append(want, fmt.Sprintf("MESSAGE %d of 3", i+1))
	}
	for i, m := range messages {
		messages[i] = m[:len(want[0])]
	}
	switch {
	case !slices.Equal(messages, want):
		return fmt.Sprintf("kills after %v: %q", kills, messages)
	case len(registers) != 1 || !s.SignedOut || s.Sent != cfg.Rules.Threshold:
		return fmt.Sprintf("kills after %v: %d de-REGISTERs, %+v", kills, len(registers), s)
	}
	return ""
}
