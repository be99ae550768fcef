package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/store"
	"rewatch/policy"
)

func TestMessageRate(t *testing.T) {
	cfg := config()
	cfg.MessageRate = 2
	inBubble(t, cfg, func(r *rig) {
		for i := range 5 {
			r.Offer(fmt.Sprintf("sip:user-%d@ims.example", i), policy.Event{
				Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1"),
			})
		}
		for i := range 5 {
			r.at(500*time.Millisecond + time.Duration(i)*500*time.Millisecond + 100*time.Millisecond)
			if n := r.happened(); n != i+1 {
				t.Errorf("%d MESSAGEs %s after the first", n, time.Duration(i)*500*time.Millisecond)
			}
		}
	})
}

// A MESSAGE that waits for its turn longer than its outcome could be awaited is
// not sent a second time, nor taken for lost.
func TestQueuedMessageIsAwaited(t *testing.T) {
	cfg := config()
	cfg.MessageRate = 0.01
	inBubble(t, cfg, func(r *rig) {
		r.Offer("sip:first@ims.example", policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1")})
		r.at(100 * time.Millisecond)
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(90 * time.Second)
		if s, _ := r.State(alice); s.Phase != policy.Notifying || s.Sent != 1 {
			t.Errorf("state %+v while the MESSAGE is queued", s)
		}
		r.at(105 * time.Second)
		if s, _ := r.State(alice); s.Phase != policy.Waiting || s.Sent != 1 {
			t.Errorf("state %+v after its turn", s)
		}
	})
}

// What was called off while it was queued is not sent.
func TestQueuedMessageIsCalledOff(t *testing.T) {
	cfg := config()
	cfg.MessageRate = 0.01
	inBubble(t, cfg, func(r *rig) {
		r.Offer("sip:first@ims.example", policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1")})
		r.at(100 * time.Millisecond)
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(10 * time.Second)
		r.offer(policy.LateOK, "bob", "call-1")
		r.at(110 * time.Second)
		if s, _ := r.State(alice); s.InFlight || s.Phase != policy.Idle {
			t.Errorf("state %+v", s)
		}
		r.expect(`500ms  MESSAGE 1 of 3 to sip:first@ims.example by : bob`)
		r.expectMetric(1, "rewatch_messages_total", "result", "ok")
	})
}

// A user who signs in again while their de-REGISTER is queued is not signed out.
func TestQueuedDeregisterIsCalledOff(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold, cfg.DeregisterRate = 1, 0.01
	inBubble(t, cfg, func(r *rig) {
		r.change(func() {
			r.users["sip:first@ims.example"] = dialogs.User{AOR: "sip:first@ims.example", Registered: true}
		})
		r.Offer("sip:first@ims.example", policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1")})
		r.at(100 * time.Millisecond)
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(120 * time.Second)
		if s, _ := r.State(alice); s.Phase != policy.Exhausted || s.SignedOut {
			t.Errorf("state %+v", s)
		}
		r.Offer(alice, policy.Event{Kind: policy.Registered, At: time.Now()})
		r.offer(policy.NotifyOK, "bob", "call-2")
		r.at(140 * time.Second)
		r.expectMetric(1, "rewatch_deregistrations_total", "result", "ok", "target", "core")
		if _, known := r.State(alice); known {
			t.Error("alice is remembered though nothing is left of the matter")
		}
	})
}

// So is one who only refreshes their registration meanwhile: whether they were away in
// between nobody knows. After a restart that holds as well.
func TestQueuedDeregisterIsCalledOffByARefresh(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := config()
				cfg.Rules.Threshold, cfg.DeregisterRate = 1, 0.01
				r := newRig(t, cfg, store.NewMemoryStore())
				r.change(func() {
					r.users["sip:first@ims.example"] = dialogs.User{AOR: "sip:first@ims.example", Registered: true}
				})
				r.Offer("sip:first@ims.example", policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1")})
				r.at(100 * time.Millisecond)
				r.offer(policy.NotifyFailed, "bob", "call-1")
				r.at(35 * time.Second) // one is signed out, the other waits for their turn
				if restart {
					r.stop()
					r = newRig(t, cfg, r.store)
				}
				r.Offer(alice, policy.Event{Kind: policy.Refreshed, At: time.Now()})
				r.at(200 * time.Second)
				if s, _ := r.State(alice); s.Phase != policy.Exhausted || !s.StaysRegistered {
					t.Errorf("state %+v", s)
				}
				r.change(func() {
					if i := slices.IndexFunc(r.diary, func(line string) bool { return strings.Contains(line, "REGISTER "+alice) }); i >= 0 {
						t.Errorf("%s", r.diary[i])
					}
				})
				r.offer(policy.NotifyOK, "bob", "call-2") // they are well
				if s, _ := r.State(alice); s.Phase != policy.Idle || s.Sent != 1 || s.Alarm {
					t.Errorf("state %+v", s)
				}
				r.stop()
			})
		})
	}
}

// The count of a user who stays registered is not forgotten; of another it is.
func TestCountIsForgotten(t *testing.T) {
	inBubble(t, config(), func(r *rig) {
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(time.Second)
		r.offer(policy.Subscribed, "bob", "call-2")
		r.offer(policy.NotifyOK, "bob", "call-2")
		r.at(36 * time.Hour)
		if s, ok := r.State(alice); !ok || s.Sent != 1 {
			t.Errorf("state %+v of a registered user", s)
		}
		r.change(func() { delete(r.users, alice) })
		r.at(72 * time.Hour)
		r.expectForgotten()
	})
}

func TestShutdownWaitsForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, config(), store.NewMemoryStore())
		r.change(func() { r.delay = 10 * time.Second })
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(time.Second)
		r.stop()
		if took := time.Since(r.began); took != 10500*time.Millisecond {
			t.Errorf("still after %s", took)
		}
		rec, err := r.store.Load(t.Context(), alice)
		if err != nil || rec.State.Phase != policy.Waiting {
			t.Errorf("saved %+v, %v", rec, err)
		}
		// Events that come later do no harm.
		r.offer(policy.NotifyOK, "bob", "call-1")
		r.stop()
	})
}

func TestShutdownGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, config(), store.NewMemoryStore())
		r.change(func() { r.delay = 30 * time.Second })
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := r.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
		if took := time.Since(r.began); took != 6*time.Second {
			t.Errorf("still after %s", took)
		}
	})
}

func TestTableIsBounded(t *testing.T) {
	cfg := config()
	cfg.MaxUsers = 3
	inBubble(t, cfg, func(r *rig) {
		for i := range 5 {
			r.Offer(fmt.Sprintf("sip:user-%d@ims.example", i), policy.Event{
				Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1"),
			})
		}
		if n := len(r.States()); n != 3 {
			t.Errorf("%d users are remembered", n)
		}
		r.expectMetric(2, "rewatch_recoveries_dropped_total")
	})
}

// Many users at once, from many goroutines; all is forgotten in the end.
func TestManyUsers(t *testing.T) {
	cfg := config()
	cfg.MessageRate = 1000
	inBubble(t, cfg, func(r *rig) {
		var path sync.WaitGroup
		for worker := range 8 {
			path.Go(func() {
				for i := range 200 {
					aor := fmt.Sprintf("sip:user-%d@ims.example", i)
					r.Offer(aor, policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken(fmt.Sprint(worker), "call-1")})
					r.Interested(aor)
					r.Banned(aor, time.Now())
					r.Trace(aor, dialogs.Step{At: time.Now(), What: "NOTIFY"})
				}
			})
		}
		path.Wait()
		r.at(2 * time.Second)
		r.expectMetric(200, "rewatch_messages_total", "result", "ok")
		for i := range 200 {
			aor := fmt.Sprintf("sip:user-%d@ims.example", i)
			for worker := range 8 {
				for _, kind := range []policy.EventKind{policy.Subscribed, policy.NotifyOK} {
					r.Offer(aor, policy.Event{Kind: kind, At: time.Now(), Sub: broken(fmt.Sprint(worker), "call-2")})
				}
			}
			r.Offer(aor, policy.Event{Kind: policy.Deregistered, At: time.Now()})
		}
		r.expectForgotten()
		r.expectMetric(200, "rewatch_recoveries_total", "result", "recovered")
	})
}

func TestRecoveriesAreBounded(t *testing.T) {
	inBubble(t, config(), func(r *rig) {
		for i := range 600 {
			r.Offer(fmt.Sprintf("sip:user-%d@ims.example", i), policy.Event{
				Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1"),
			})
		}
		for range 100 {
			r.Trace("sip:user-599@ims.example", dialogs.Step{At: time.Now(), What: "NOTIFY"})
		}
		v := r.Recoveries()
		if len(v) != 512 || v[0].AOR != "sip:user-599@ims.example" || len(v[0].Steps) != 64 {
			t.Errorf("%d recoveries, the first with %d steps: %s", len(v), len(v[0].Steps), v[0].AOR)
		}
	})
}

// A MESSAGE that the core sends back to us says nothing about the user: they are not
// given up for it, however often that happens, and the pauses grow.
func TestReturnedMessageIsNoStrike(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold = 1
	inBubble(t, cfg, func(r *rig) {
		r.change(func() {
			r.answer = func(string) dialogs.Result {
				return dialogs.Result{Status: 482, Reason: "Loop Detected", Err: dialogs.ErrReturned}
			}
		})
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(30 * time.Minute)
		s, _ := r.State(alice)
		if s.Phase != policy.Waiting || s.Sent != 0 || s.Tries < 3 || s.Tries > 8 {
			t.Errorf("state %+v", s)
		}
		r.expectMetric(float64(s.Tries), "rewatch_messages_total", "result", "returned")
		r.change(func() { r.answer = func(string) dialogs.Result { return dialogs.Result{Status: 200} } })
		r.at(3 * time.Hour)
		if s, _ := r.State(alice); s.Phase != policy.Exhausted {
			t.Errorf("one that arrives does not count: %+v", s)
		}
	})
}
