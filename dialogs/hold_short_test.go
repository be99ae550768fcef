package dialogs_test

import (
	"testing"
	"time"
)

// Where a NOTIFY is given less time than the window of the detector is long, the
// first that fail tell of the outage all the same: nobody is told in it.
func TestOutageWithAShortDeadline(t *testing.T) {
	for _, deadline := range []time.Duration{2 * time.Second, 5 * time.Second, 12 * time.Second} {
		t.Run(deadline.String(), func(t *testing.T) {
			inTown(t, townConfig(), 1000, 1, func(w *town) {
				w.deadline = deadline
				w.shut()
				w.open()
				w.run(500)
				w.at(30 * time.Second)
				w.silence(0, true)
				w.at(30*time.Second + deadline + time.Second)
				if got := w.said(); got != "[raise core-outage 10.0.0.1:5060 critical]" {
					t.Errorf("a second after the first failures the alarms are %s", got)
				}
				w.at(90 * time.Second)
				if n := len(w.messages); n != 0 {
					t.Errorf("%d MESSAGEs in the outage", n)
				}
				w.silence(0, false)
				w.at(90*time.Second + 1000/200*time.Second + 10*time.Second)
				w.expectInnocent()
				w.expectOutages(1)
			})
		})
	}
}
