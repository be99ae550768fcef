//go:build integration

package integration

import (
	"testing"
	"time"

	"rewatch/integration/load"
)

// TestProgramAllocatesNothing: what passes allocates nothing in the whole program, its
// sockets, streams and timers included, over UDP as over TCP. A SUBSCRIBE that begins a
// dialog allocates what is remembered of it.
func TestProgramAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			g, r := newSite(t).startLoad(network, env{"REWATCH_LOG_LEVEL": "info"})
			const dialogs = 1000
			run := func(k load.Kind, rate float64, d time.Duration) load.Result {
				t.Helper()
				res, err := g.Run(t.Context(), load.Phase{Kind: k, Rate: rate, Duration: d, Dialogs: dialogs, Drain: patience})
				if err != nil || res.Answered == 0 {
					t.Fatalf("%v: %v %v", k, res.Counts, err)
				}
				return res
			}
			for _, c := range []struct {
				kind load.Kind
				most float64 // for each transaction; a fraction is what all else comes to, the metrics above all
			}{{load.Subscribe, 4.9}, {load.Notify, 0.9}, {load.Register, 0.9}} {
				run(c.kind, 2000, time.Second) // what is made once
				judged := false
				for try := 0; try < 3 && !judged; try++ {
					before := r.metric("go_memstats_mallocs_total")
					res := run(c.kind, 5000, 3*time.Second)
					each := float64(r.metric("go_memstats_mallocs_total")-before) / float64(res.Sent)
					t.Logf("%v: %.2f allocations each; %v", c.kind, each, res.Counts)
					judged = res.Clean()
					if judged && each > c.most {
						t.Errorf("%v: %.2f allocations each, more than %v", c.kind, each, c.most)
					}
				}
				if !judged {
					t.Logf("%v: the machine is too busy for a steady state", c.kind)
				}
			}
		})
	}
}
