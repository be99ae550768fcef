package recovery

import (
	"testing"
	"time"
)

// A clock that is late for its deadline has stood still. One that had nothing to sleep for,
// or went to sleep late, has not.
func TestOverslept(t *testing.T) {
	dawn := time.Unix(1000, 0)
	at := func(ms int) time.Time { return dawn.Add(time.Duration(ms) * time.Millisecond) }
	for name, c := range map[string]struct {
		now, asleep, next time.Time
		want              bool
	}{
		"in time":                       {at(2000), at(0), at(2000), false},
		"a little late":                 {at(2250), at(0), at(2000), false},
		"stopped for three seconds":     {at(3000), at(0), at(2000), true},
		"woken before":                  {at(1000), at(0), at(2000), false},
		"there was much to do before":   {at(5001), at(5000), at(2000), false},
		"and it was stopped after that": {at(8000), at(5000), at(2000), true},
		"nothing was due":               {at(9000), at(0), time.Time{}, false},
	} {
		if got := overslept(c.now, c.asleep, c.next); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
