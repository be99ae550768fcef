package recovery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rewatch/policy"
)

const byHandRaised, byHandCleared = "[raise held-by-hand rewatch warning]", "[clear held-by-hand rewatch]"

// An operator stops everything in the middle of recoveries, and lets it go on: nobody is
// told twice, or has lost the time in which it could have come back.
func TestHoldByHand(t *testing.T) {
	inTown(t, townConfig(), 100, 1, func(w *town) {
		waits, told, dead := w.phones[1], w.phones[2], w.phones[3]
		w.run(20)
		w.at(10 * time.Second)
		w.change(func() { waits.ignores = true })
		w.fails(waits) // told, and awaited
		w.at(20 * time.Second)
		w.fails(told) // to be told in half a second
		w.Hold().ByHand("a change of the core")
		w.at(21 * time.Second)
		sent := w.sent()
		if w.toldOf(waits.aor) != 1 || w.toldOf(told.aor) != 0 {
			t.Errorf("%d and %d MESSAGEs", w.toldOf(waits.aor), w.toldOf(told.aor))
		}
		w.change(func() { dead.dead = true })
		w.at(10 * time.Minute)
		if w.sent() != sent || w.gone() != 0 {
			t.Errorf("%d MESSAGEs and %d sign-outs in the hold", w.sent()-sent, w.gone())
		}
		w.expect(waits, policy.Waiting, 1)
		if s, _ := w.State(dead.aor); s.Sent != 0 {
			t.Errorf("the dead phone has %d strikes", s.Sent)
		}
		if got := w.said(); got != byHandRaised {
			t.Errorf("alarms %s", got)
		}
		w.expectHolds("a change of the core", 3)

		w.change(func() { waits.ignores = false })
		if !w.Hold().EndByHand() || w.Hold().EndByHand() {
			t.Error("it does not end, or twice")
		}
		w.at(10*time.Minute + 20*time.Second)
		if n := w.toldOf(waits.aor); n != 1 {
			t.Errorf("the one who is awaited got %d MESSAGEs", n)
		}
		if n := w.toldOf(told.aor); n != 1 {
			t.Errorf("the one who was to be told got %d MESSAGEs", n)
		}
		if n := w.toldOf(dead.aor); n != 1 {
			t.Errorf("the one who failed in the hold got %d MESSAGEs", n)
		}
		if got := w.said(); got != byHandRaised+byHandCleared {
			t.Errorf("alarms %s", got)
		}
		if len(w.Hold().Holds()) != 0 {
			t.Errorf("held: %+v", w.Hold().Holds())
		}
	})
}

func (w *town) expectHolds(reason string, waiting int) {
	w.t.Helper()
	holds := w.Hold().Holds()
	if len(holds) != 1 || string(holds[0].Reason) != reason || holds[0].Waiting != waiting || !holds[0].ByHand {
		w.t.Errorf("held: %+v", holds)
	}
}

// A MESSAGE that waits for its turn does not leave in a hold by hand, and leaves once
// after it; so does a de-REGISTER.
func TestHoldByHandStopsWhatWaitsForItsTurn(t *testing.T) {
	cfg := townConfig()
	cfg.Rules.Threshold, cfg.Rules.Patience, cfg.MessageRate, cfg.DeregisterRate = 1, policy.PatienceNone, 0.5, 0.02
	inTown(t, cfg, 100, 1, func(w *town) {
		w.run(20)
		w.at(time.Second)
		for _, p := range w.phones[:10] {
			w.change(func() { p.dead = true })
			w.fails(p)
		}
		w.at(6 * time.Second)
		w.Hold().ByHand("")
		synctest.Wait()
		sent := w.sent()
		w.at(2 * time.Minute)
		if sent == 0 || w.sent() != sent {
			t.Errorf("%d MESSAGEs before, %d in the hold", sent, w.sent()-sent)
		}
		w.Hold().EndByHand()
		w.at(4 * time.Minute)
		gone := w.gone()
		w.Hold().ByHand("once more")
		w.at(20 * time.Minute)
		if gone == 0 || gone >= 10 || w.gone() != gone {
			t.Errorf("%d sign-outs before, %d in the hold", gone, w.gone()-gone)
		}
		w.Hold().EndByHand()
		w.at(60 * time.Minute)
		if w.gone() != 10 {
			t.Errorf("%d sign-outs", w.gone())
		}
		for _, p := range w.phones[:10] {
			if n := w.toldOf(p.aor); n != 1 {
				t.Errorf("%s got %d MESSAGEs", p.aor, n)
			}
		}
	})
}

// A hold by hand outlives a restart, and its alarm is the same.
func TestHoldByHandOutlivesRestart(t *testing.T) {
	inTown(t, townConfig(), 10, 1, func(w *town) {
		w.run(10)
		w.at(time.Second)
		w.Hold().ByHand("for the night")
		w.Hold().ByHand("for the weekend")
		w.at(5 * time.Second)
		w.restart(time.Second)
		w.fails(w.phones[1])
		w.at(time.Minute)
		w.expectHolds("for the weekend", 1)
		if w.sent() != 0 {
			t.Errorf("%d MESSAGEs", w.sent())
		}
		w.Hold().EndByHand()
		w.at(75 * time.Second)
		w.restart(time.Second)
		if len(w.Hold().Holds()) != 0 || w.toldOf(w.phones[1].aor) != 1 {
			t.Errorf("held: %+v; %d MESSAGEs", w.Hold().Holds(), w.toldOf(w.phones[1].aor))
		}
	})
}

// An operator ends the hold of one hop. It begins anew if nothing gets through.
func TestEndHop(t *testing.T) {
	inTown(t, townConfig(), 20, 2, func(w *town) {
		w.run(5)
		w.at(time.Minute)
		w.silence(1, true)
		w.at(3 * time.Minute)
		if w.Hold().EndHop("10.0.0.1:5060") || w.Hold().EndHop("nonsense") || w.Hold().EndHop("core") {
			t.Error("a hop that is not held was let go")
		}
		holds := w.Hold().Holds()
		if len(holds) != 1 || holds[0].Hop != "10.0.0.2:5060" || holds[0].Waiting != 10 || holds[0].ByHand {
			t.Fatalf("held: %+v", holds)
		}
		if !w.Hold().EndHop(holds[0].Hop) {
			t.Error("it stays held")
		}
		w.at(4 * time.Minute)
		if n := w.sent(); n != 10 {
			t.Errorf("%d MESSAGEs", n)
		}
		w.at(5 * time.Minute)
		if len(w.Hold().Holds()) != 1 {
			t.Errorf("held: %+v", w.Hold().Holds())
		}
		w.silence(1, false)
		w.at(10 * time.Minute)
		w.expectInnocent()
	})
}

// A pod was replaced: its users come back by the new one, one by one. Each is let go then,
// and when nobody waits any more nor is routed there, the hold of the old one ends.
func TestHopThatIsGoneForGood(t *testing.T) {
	for _, restart := range []bool{false, true} {
		inTown(t, townConfig(), 20, 2, func(w *town) {
			w.run(5)
			w.at(time.Minute)
			w.silence(1, true)
			w.at(3 * time.Minute)
			if restart {
				w.restart(time.Second)
			}
			for i, p := range w.phones {
				if p.hop != w.hops[1] || i == 19 {
					continue
				}
				w.change(func() { p.hop = w.hops[0] })
				w.register(p)
				w.subscribe(p)
				w.at(3*time.Minute + time.Duration(i+2)*time.Second)
			}
			if holds := w.Hold().Holds(); len(holds) != 1 || holds[0].Waiting != 1 {
				t.Errorf("held: %+v", holds)
			}
			w.expectNoStrikesBut(w.phones[19].aor)
			w.at(12 * time.Minute)
			w.change(func() { w.phones[19].hop = w.hops[0] }) // its MESSAGEs go there, as the S-CSCF's name says
			w.at(20 * time.Minute)
			if len(w.Hold().Holds()) != 0 || w.broken() != 0 || w.gone() != 0 {
				t.Errorf("held: %+v; %d broken, %d signed out", w.Hold().Holds(), w.broken(), w.gone())
			}
		})
	}
}

func (w *town) expectNoStrikesBut(aor string) {
	w.t.Helper()
	for _, s := range w.States() {
		if s.AOR != aor && (s.Sent != 0 || s.Phase != 0) {
			w.t.Errorf("%s is left with %+v", s.AOR, s.State)
			return
		}
	}
}
