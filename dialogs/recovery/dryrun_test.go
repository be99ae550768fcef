package recovery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/policy"
)

// A dry run that begins in the middle of a recovery lets nothing leave any more, raises
// and saves nothing; when it ends, whoever it was about is forgiven, and nobody is given
// up for what it never got.
func TestDryRunByHand(t *testing.T) {
	for _, on := range []policy.OnThreshold{policy.Deregister, policy.Ban, policy.Unsubscribe} {
		cfg := config()
		cfg.Rules.Threshold, cfg.Rules.OnThreshold = 2, on
		inBubble(t, cfg, func(r *rig) {
			r.offer(policy.NotifyFailed, "bob", "call-1")
			r.at(10 * time.Second)
			r.expect(`500ms MESSAGE 1 of 2 to sip:alice@ims.example by sip:scscf.ims.example:6060;lr: bob`)
			r.SetDryRun(true)
			r.at(5 * time.Minute) // the second MESSAGE and the giving up would have been
			r.expect(``)
			if s, _ := r.State(alice); s.Phase != policy.Exhausted {
				t.Fatalf("the dry run has come to %+v", s)
			}
			for rec, err := range r.store.All(t.Context()) {
				if err != nil || rec.State.Phase == policy.Exhausted || rec.State.Sent > 1 {
					t.Errorf("saved: %+v, %v", rec.State, err)
				}
			}
			r.SetDryRun(false)
			r.at(time.Hour)
			r.expect(``)
			r.expectForgotten()
			for rec, err := range r.store.All(t.Context()) {
				t.Errorf("left in the store: %+v, %v", rec, err)
			}

			r.offer(policy.NotifyFailed, "bob", "call-2")
			r.at(time.Hour + 10*time.Second)
			r.expect(`1h0m0.5s MESSAGE 1 of 2 to sip:alice@ims.example by sip:scscf.ims.example:6060;lr: bob`)
		})
	}
}

// What waits for its turn does not leave once the dry run is on, nor after it.
func TestDryRunStopsWhatWaitsForItsTurn(t *testing.T) {
	cfg := townConfig()
	cfg.Rules.Threshold, cfg.Rules.Patience, cfg.MessageRate, cfg.DryRun = 1, policy.PatienceNone, 0.5, dialogs.NewDryRun(false)
	inTown(t, cfg, 100, 1, func(w *town) {
		w.run(20)
		w.at(time.Second)
		for _, p := range w.phones[:10] {
			w.change(func() { p.dead = true })
			w.fails(p)
		}
		w.at(6 * time.Second)
		w.SetDryRun(true)
		synctest.Wait()
		sent := w.sent()
		w.at(2 * time.Minute)
		if sent == 0 || sent == 10 || w.sent() != sent {
			t.Errorf("%d MESSAGEs before, %d in the dry run", sent, w.sent()-sent)
		}
		for _, p := range w.phones[:10] {
			w.change(func() { p.dead = false })
		}
		w.SetDryRun(false)
		w.at(10 * time.Minute)
		if w.gone() != 0 {
			t.Errorf("%d users were signed out for what happened in a dry run", w.gone())
		}
	})
}

// A hold that began in a dry run has its alarm when the dry run ends.
func TestHoldOfADryRunIsTold(t *testing.T) {
	cfg := townConfig()
	cfg.DryRun = dialogs.NewDryRun(true)
	inTown(t, cfg, 20, 1, func(w *town) {
		w.Hold().ByHand("a change")
		w.at(time.Second)
		if got := w.said(); got != "" {
			t.Errorf("a dry run says %s", got)
		}
		w.SetDryRun(false)
		if got := w.said(); got != byHandRaised {
			t.Errorf("alarms %s", got)
		}
		w.Hold().EndByHand()
	})
}
