package monitor

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
)

// TestNeverBegan: a NOTIFY in a dialog whose first SUBSCRIBE the server has refused is nobody's
// failure, whatever becomes of it and whatever tag it has. A SUBSCRIBE that is sent again with
// the same Call-ID and accepted makes a subscription like any other.
func TestNeverBegan(t *testing.T) {
	outcomes := map[string]dialogs.Outcome{
		"timeout": {Kind: dialogs.TimedOut, RetryAfter: -1}, "unreachable": {Kind: dialogs.Unreachable, RetryAfter: -1},
		"404": answered(404), "481": answered(481), "503": answered(503),
	}
	for _, status := range []int{302, 401, 403, 404, 480, 489, 500, 503, 603} {
		for _, tag := range []string{"s1", "fork"} {
			for name, o := range outcomes {
				for _, again := range []bool{false, true} {
					t.Run(fmt.Sprint(status, "/", tag, "/", name, "/again=", again), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							w := newWard()
							refused := call{phoneA, "c", "s1", "presence", "sip:bob@ims.test"}
							other := call{phoneA, "other", "s1", "presence", "sip:carol@ims.test"}
							w.subscribe(other, 1, 600, 200)
							w.subscribe(refused, 1, 600, status)
							var want []string
							if again {
								w.subscribe(refused, 2, 600, 200)
								want = append(want, "c")
							}
							time.Sleep(time.Second)
							refused.tag = tag
							w.notify(refused, 1, o)
							w.notify(other, 1, o)
							want = append(want, "other")
							if got := w.failed(); !slices.Equal(got, want) {
								t.Errorf("failed are %q, want %q", got, want)
							}
						})
					})
				}
			}
		}
	}
}
