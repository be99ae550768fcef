package recovery_test

import (
	"fmt"
	"testing"
	"time"
)

// Where a NOTIFY is given less time than the window of the detector is long, or there
// are few of them, the first that fail tell of the outage all the same: nobody is told
// in it.
func TestOutageIsNoticedBeforeAnybodyIsTold(t *testing.T) {
	for _, c := range []struct {
		deadline time.Duration
		rate     int
	}{{2 * time.Second, 500}, {5 * time.Second, 500}, {12 * time.Second, 500}, {2 * time.Second, 20}, {28 * time.Second, 15}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			inTown(t, townConfig(), 1000, 1, func(w *town) {
				w.deadline = c.deadline
				w.shut()
				w.open()
				w.run(c.rate)
				w.at(30 * time.Second)
				w.silence(0, true)
				w.at(30*time.Second + c.deadline + 2*time.Second)
				if got := w.said(); got != "[raise core-outage 10.0.0.1:5060 critical]" {
					t.Errorf("two seconds after the first failures the alarms are %s", got)
				}
				w.at(90 * time.Second)
				if n := w.sent(); n != 0 {
					t.Errorf("%d MESSAGEs in the outage", n)
				}
				w.silence(0, false)
				w.at(90*time.Second + c.deadline + 1000/200*time.Second + 10*time.Second)
				w.expectOutages(1)
				w.expectNoStrikes()
			})
		})
	}
}

// Some dead phones, and nobody else who gets anything: that may be an outage, so nobody
// has a strike, and a few are told as soon as the hop answers. When somebody gets through
// the others are told as well.
func TestSomeDeadPhonesAndNobodyElse(t *testing.T) {
	inTown(t, townConfig(), 7, 1, func(w *town) {
		w.at(time.Second) // they got something before
		for _, p := range w.phones[:6] {
			w.change(func() { p.dead = true })
			w.notify(p)
		}
		w.at(deadline + 3*time.Second)
		if n := w.sent(); n != 3 {
			t.Errorf("%d MESSAGEs go ahead", n)
		}
		if got := w.said(); got != "[raise core-outage 10.0.0.1:5060 critical]" {
			t.Errorf("alarms %s", got)
		}
		w.at(40 * time.Second)
		w.notify(w.phones[6])
		w.at(42 * time.Second)
		for _, p := range w.phones[:6] {
			if n := w.toldOf(p.aor); n != 1 {
				t.Errorf("%s got %d MESSAGEs", p.aor, n)
			}
		}
		w.expectOutages(1)
		w.at(20 * time.Minute)
		if w.gone() != 0 {
			t.Errorf("%d were signed out for what may have been an outage", w.gone())
		}
		for _, s := range w.States() {
			if s.Sent != 0 {
				t.Errorf("%s has %d strikes", s.AOR, s.Sent)
			}
		}
	})
}
