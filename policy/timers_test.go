package policy

import (
	"testing"
	"time"
)

// The timers are those of RFC 3261 17.1.2.2.
func TestTimers(t *testing.T) {
	if T1 != 500*time.Millisecond || TimerF != 32*time.Second {
		t.Errorf("T1 %s, Timer F %s", T1, TimerF)
	}
}
