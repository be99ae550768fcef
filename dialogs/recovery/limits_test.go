package recovery_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/policy"
)

// giveUpOn lets a registered user fail with a threshold of 1 until they are given up.
func (r *rig) giveUpOn(aor string) {
	r.t.Helper()
	r.change(func() { r.users[aor] = dialogs.User{AOR: aor, Registered: true} })
	r.Offer(aor, policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1")})
	time.Sleep(time.Second)
	r.Offer(aor, policy.Event{Kind: policy.Subscribed, At: time.Now(), Sub: broken("bob", "call-2")})
	r.Offer(aor, policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-2")})
	time.Sleep(time.Second)
	synctest.Wait()
}

func (r *rig) signOuts() float64 {
	return r.metric("rewatch_deregistrations_total", "result", "ok", "target", "core")
}

func TestDeregisterCap(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold, cfg.DeregisterCap = 1, 3
	inBubble(t, cfg, func(r *rig) {
		for i := range 5 {
			r.giveUpOn(fmt.Sprintf("sip:user-%d@ims.example", i))
		}
		if n := r.signOuts(); n != 3 {
			t.Errorf("%v users were signed out", n)
		}
		if s, _ := r.State("sip:user-4@ims.example"); s.Phase != policy.Exhausted || s.SignedOut {
			t.Errorf("state %+v while the cap bites", s)
		}
		r.expectRaised("deregister-cap of deregister, major", 1)
		// One of the two who wait comes back.
		r.Offer("sip:user-3@ims.example", policy.Event{Kind: policy.Subscribed, At: time.Now(), Sub: broken("bob", "call-3")})
		r.Offer("sip:user-3@ims.example", policy.Event{Kind: policy.NotifyOK, At: time.Now(), Sub: broken("bob", "call-3")})
		r.at(time.Hour + 30*time.Second)
		if n := r.signOuts(); n != 4 {
			t.Errorf("%v users were signed out an hour later", n)
		}
		if s, _ := r.State("sip:user-3@ims.example"); s.Phase != policy.Idle {
			t.Errorf("state %+v of the one who is back", s)
		}
		r.at(3 * time.Hour)
		r.expectRaised("deregister-cap of deregister, major", 1)
		r.expectRaised("clear deregister-cap of deregister", 1)
	})
}

// expectRaised counts the lines of the diary that have a text.
func (r *rig) expectRaised(text string, want int) {
	r.t.Helper()
	if n := r.lines(text); n != want {
		r.t.Errorf("%d times %q, want %d", n, text, want)
	}
}

func TestFlappingUserIsHeldDown(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold = 1
	inBubble(t, cfg, func(r *rig) {
		r.giveUpOn(alice)
		if n := r.signOuts(); n != 1 {
			t.Fatalf("signed out %v times", n)
		}
		for times, hold := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute} {
			r.Offer(alice, policy.Event{Kind: policy.Deregistered, At: time.Now()})
			r.Offer(alice, policy.Event{Kind: policy.Registered, At: time.Now()})
			r.giveUpOn(alice)
			time.Sleep(hold - 10*time.Second)
			if n := r.signOuts(); n != float64(times+1) {
				t.Errorf("signed out %v times before %s have passed", n, hold)
			}
			time.Sleep(20 * time.Second)
			if n := r.signOuts(); n != float64(times+2) {
				t.Errorf("signed out %v times after %s", n, hold)
			}
		}
		r.expectMetric(3, "rewatch_flapping_total")
		// Much later it is no flapping.
		time.Sleep(6 * time.Hour)
		r.Offer(alice, policy.Event{Kind: policy.Registered, At: time.Now()})
		r.giveUpOn(alice)
		if n := r.signOuts(); n != 5 {
			t.Errorf("signed out %v times", n)
		}
	})
}

// What finds no room is no strike, and is tried again.
func TestQueueIsBounded(t *testing.T) {
	cfg := config()
	cfg.MessageRate, cfg.MaxQueue = 0.2, 2
	inBubble(t, cfg, func(r *rig) {
		for i := range 6 {
			r.Offer(fmt.Sprintf("sip:user-%d@ims.example", i), policy.Event{
				Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1"),
			})
		}
		r.at(2 * time.Second)
		dropped := r.metric("rewatch_queue_dropped_total", "request", "message")
		if dropped < 2 || dropped > 4 {
			t.Errorf("%v were dropped", dropped)
		}
		struck := 0.0
		for _, s := range r.States() {
			struck += float64(s.Sent)
		}
		if struck != 6-dropped {
			t.Errorf("%v strikes after %v of 6 were dropped", struck, dropped)
		}
		r.at(5 * time.Minute)
		for i := range 6 {
			r.expectSome(fmt.Sprintf("to sip:user-%d@ims.example", i))
		}
	})
}

func (r *rig) expectSome(text string) {
	r.t.Helper()
	if r.lines(text) == 0 {
		r.t.Errorf("never %q", text)
	}
}

func (r *rig) lines(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, line := range r.diary {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// A dry run observes an outage as any other, and says what it left out.
func TestDryRunCountsWhatItLeavesOut(t *testing.T) {
	cfg := townConfig()
	cfg.DryRun, cfg.Signal.Notify = dialogs.NewDryRun(true), true
	inTown(t, cfg, 1000, 1, func(w *town) {
		w.run(100)
		w.change(func() { w.phones[0].dead = true })
		w.at(4 * time.Minute)
		w.silence(0, true)
		w.at(5 * time.Minute)
		w.silence(0, false)
		w.at(6 * time.Minute)
		if w.sent()+w.gone() != 0 || w.said() != "" {
			t.Errorf("%d MESSAGEs, %d de-REGISTERs, alarms %s", w.sent(), w.gone(), w.said())
		}
		if n := w.broken(); n != 1 {
			t.Errorf("%d are broken: an answer was changed", n)
		}
		for _, action := range []string{"message", "notify", "answer", "alarm", "probe"} {
			if w.count("rewatch_dry_run_total", action) == 0 {
				t.Errorf("no %s was left out", action)
			}
		}
	})
}
