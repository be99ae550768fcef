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

// Some dead phones, and nobody else who gets anything: they are told, a little later.
func TestSomeDeadPhonesAndNobodyElse(t *testing.T) {
	inTown(t, townConfig(), 6, 1, func(w *town) {
		w.at(time.Second) // they got something before
		for _, p := range w.phones {
			w.change(func() { p.dead = true })
			w.notify(p)
		}
		w.at(deadline + 3*time.Second)
		if n := w.sent(); n != 0 {
			t.Errorf("%d MESSAGEs though there may be an outage", n)
		}
		w.at(deadline + 4500*time.Millisecond)
		if n := w.sent(); n != 6 {
			t.Errorf("%d MESSAGEs", n)
		}
		if got := w.said(); got != "" {
			t.Errorf("alarms %s", got)
		}
	})
}
