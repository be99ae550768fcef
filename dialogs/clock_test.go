package dialogs

import (
	"testing"
	"time"
)

// Who wakes up late for a deadline has stood still. Who had nothing to sleep for, or went to
// sleep late, has not.
func TestOverslept(t *testing.T) {
	dawn := time.Unix(1000, 0)
	at := func(ms int) time.Time { return dawn.Add(time.Duration(ms) * time.Millisecond) }
	for name, c := range map[string]struct {
		now, asleep, next time.Time
		want              int // ms
	}{
		"in time":                       {at(2000), at(0), at(2000), 0},
		"a little late":                 {at(2250), at(0), at(2000), 0},
		"stopped for three seconds":     {at(3000), at(0), at(2000), 1000},
		"woken before":                  {at(1000), at(0), at(2000), 0},
		"there was much to do before":   {at(5001), at(5000), at(2000), 0},
		"and it was stopped after that": {at(8000), at(5000), at(2000), 3000},
		"nothing was due":               {at(9000), at(0), time.Time{}, 0},
	} {
		if got := Overslept(c.now, c.asleep, c.next); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("%s: %v", name, got)
		}
	}
}
