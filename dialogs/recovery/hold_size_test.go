package recovery_test

import (
	"fmt"
	"testing"
	"time"

	"rewatch/policy"
)

// The core is silent for ten minutes in front of few or many watchers, with one NOTIFY for
// each in a minute. Nobody is signed out or has a strike left, there is one alarm, and all
// are told, or come back by themselves.
func TestCoreSilentForTenMinutes(t *testing.T) {
	for _, watchers := range []int{3, 10, 30, 200, crowd} {
		for _, threshold := range []int{1, 3} {
			t.Run(fmt.Sprint(watchers, " watchers, threshold ", threshold), func(t *testing.T) {
				cfg := townConfig()
				cfg.Rules.Threshold = threshold
				inTown(t, cfg, watchers, 1, func(w *town) {
					w.runEvery(time.Minute / time.Duration(watchers))
					w.at(5*time.Minute + 7*time.Second)
					w.silence(0, true)
					w.at(15*time.Minute + 7*time.Second)
					if n := w.between(&w.messages, 7*time.Minute, 15*time.Minute+7*time.Second); n != 0 {
						t.Errorf("%d MESSAGEs in the outage", n)
					}
					w.silence(0, false)
					w.at(15*time.Minute + 30*time.Second + time.Duration(watchers/200)*time.Second)
					w.expectOutages(1)
					w.expectInnocent()
					w.at(30 * time.Minute)
					w.expectOutages(1)
					w.expectInnocent()
					for _, p := range w.phones {
						if w.toldOf(p.aor) == 0 {
							t.Fatalf("%s was not told", p.aor)
						}
					}
				})
			})
		}
	}
}

// One phone is dead before, during or after it: given up as ever.
func TestOneDeadPhoneAndAnOutage(t *testing.T) {
	for _, watchers := range []int{3, 10, 200} {
		for _, c := range []struct {
			when       string
			dies, gone time.Duration
		}{{"before", time.Minute, 10 * time.Minute}, {"after", 32 * time.Minute, 42 * time.Minute}} {
			t.Run(fmt.Sprint(watchers, " watchers, ", c.when), func(t *testing.T) {
				inTown(t, townConfig(), watchers, 1, func(w *town) {
					p := w.phones[1]
					w.runEvery(time.Minute / time.Duration(watchers))
					go func() {
						time.Sleep(c.dies)
						w.change(func() { p.dead = true })
					}()
					w.at(11 * time.Minute)
					w.silence(0, true)
					w.at(21 * time.Minute)
					w.silence(0, false)
					w.at(c.gone)
					w.at(45 * time.Minute)
					if got := w.gone(); got != 1 || !p.gone {
						t.Errorf("%d signed out, the dead one: %v", got, p.gone)
					}
					if n := w.between(&w.signOuts, 0, c.gone); n != 1 {
						t.Errorf("%d signed out in time", n)
					}
				})
			})
		}
	}
}

// A phone dies in the outage. Nobody can know, so it is told like the others; it is given
// up when it fails again.
func TestAPhoneDiesInAnOutage(t *testing.T) {
	cfg := townConfig()
	cfg.Rules.Patience = policy.PatienceNone
	inTown(t, cfg, 10, 1, func(w *town) {
		p := w.phones[1]
		w.runEvery(6 * time.Second)
		w.at(5 * time.Minute)
		w.silence(0, true)
		w.change(func() { p.dead = true })
		w.at(15 * time.Minute)
		w.silence(0, false)
		w.at(20 * time.Minute)
		if w.gone() != 0 || w.toldOf(p.aor) == 0 {
			t.Errorf("%d signed out, the dead one was told %d times", w.gone(), w.toldOf(p.aor))
		}
		w.at(40 * time.Minute)
		w.fails(p) // the server knows it by another subscription still
		w.at(50 * time.Minute)
		if s, _ := w.State(p.aor); w.gone() != 1 || !p.gone {
			t.Errorf("%d signed out; it is left with %+v", w.gone(), s)
		}
	})
}

// A sign-out that is pending when an outage is noticed is dropped, and what a core that is
// dead did not take is not repeated when it is back.
func TestPendingSignOutsAreDropped(t *testing.T) {
	cfg := townConfig()
	cfg.Rules.Threshold, cfg.Rules.Patience, cfg.DeregisterRate = 1, policy.PatienceNone, 0.001
	inTown(t, cfg, 6, 1, func(w *town) {
		w.runEvery(5 * time.Second)
		w.at(time.Second)
		for _, p := range w.phones[:3] { // the first has the turn, two wait
			w.change(func() { p.dead = true })
			w.fails(p)
		}
		w.at(3 * time.Minute)
		if s, _ := w.State(w.phones[2].aor); s.Phase != policy.Exhausted || w.gone() != 1 {
			t.Errorf("%+v, %d signed out %s", s.State, w.gone(), w.said())
		}
		w.silence(0, true)
		w.at(5 * time.Minute)
		w.change(func() {
			for _, p := range w.phones {
				p.dead = false
			}
		})
		w.silence(0, false)
		w.at(2 * time.Hour)
		if w.gone() != 1 {
			t.Errorf("%d signed out", w.gone())
		}
	})
}

// The MESSAGEs after an outage are no strikes, and name the count that stands.
func TestMessagesAfterAnOutageNameTheCountThatStands(t *testing.T) {
	inTown(t, townConfig(), 10, 1, func(w *town) {
		p := w.phones[1]
		w.runEvery(6 * time.Second)
		w.at(time.Minute)
		w.fails(p)
		w.at(62 * time.Second)
		sub := broken("bob", "y")
		sub.Contact = p.aor + ";x"
		w.Offer(p.aor, policy.Event{Kind: policy.Subscribed, At: time.Now(), Sub: sub})
		w.Offer(p.aor, policy.Event{Kind: policy.NotifyOK, At: time.Now(), Sub: sub})
		w.at(5 * time.Minute)
		w.silence(0, true)
		w.at(8 * time.Minute)
		w.silence(0, false)
		w.at(9 * time.Minute)
		for _, other := range w.phones {
			want := 0
			if other == p {
				want = 1
			}
			if got := w.attempt[other.aor]; got != want {
				t.Errorf("%s: attempt %d, want %d", other.aor, got, want)
			}
		}
		w.expect(p, policy.Idle, 1)
	})
}
