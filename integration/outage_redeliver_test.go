//go:build integration

package integration

import (
	"os"
	"testing"
	"time"
)

// sum tells what the end of the outage has cost, to be compared with the other ways: all
// that rewatch sent to the core since its return, NOTIFYs of the load and registrations
// that passed through included.
func (c *outageCase) sum(took time.Duration, before int) {
	c.t.Helper()
	c.t.Logf("redeliver %q: %d requests to the core after its return, the last watcher is current after %s, %d subscriptions lost, %d MESSAGEs",
		c.redeliver, c.mirror.requests()-before, took.Round(100*time.Millisecond), c.city.lost(), c.city.messages())
}

// cseqs are those of the states that the server has sent so far.
func (c *city) cseqs() map[*citizen]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[*citizen]int, len(c.people))
	for _, p := range c.people {
		p.server.mu.Lock()
		all[p] = p.server.cseq
		p.server.mu.Unlock()
	}
	return all
}

// stale counts those who have not seen these yet.
func (c *city) stale(newest map[*citizen]int) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, cseq := range newest {
		n += one(p.shows < cseq)
	}
	return n
}

// redelivered lets the core be away, and return: everybody is current soon, in the dialog
// that they had.
func (c *outageCase) redelivered(bound float64) {
	c.t.Helper()
	c.load()
	c.stop()
	c.expect(c.r.metric("rewatch_redeliver_bytes") <= bound, "%v bytes are kept", c.r.metric("rewatch_redeliver_bytes"))
	kept := c.r.metric("rewatch_redeliver_kept")
	newest, before := c.city.cseqs(), c.mirror.requests()
	c.returned = time.Now()
	c.core.thaw()
	within := time.Duration(kept)*time.Second/time.Duration(c.messageRate) + 10*time.Second
	for c.city.stale(newest) > 0 && time.Since(c.returned) < within {
		within += c.nap(50 * time.Millisecond)
	}
	took := time.Since(c.returned)
	c.sum(took, before)
	if left := c.city.stale(newest); left > 0 {
		c.t.Fatalf("%d of %d are not current after %s", left, c.people, within)
	}
	c.city.load(0)
	eventually(c.t, patience, "nothing is kept", func() bool { return c.r.metric("rewatch_redeliver_kept") == 0 })
	c.expect(c.mirror.count("MESSAGE") == 0 && c.city.messages() == 0, "%d MESSAGEs", c.mirror.count("MESSAGE"))
	c.expect(c.city.lost() == 0, "%d subscriptions were lost", c.city.lost())
	same := 0
	for _, p := range c.city.people {
		same += one(p.server.callID == p.callID)
	}
	c.expect(same == c.people, "%d have the dialog that they had", same)
	c.expect(c.r.metric("rewatch_outage") == 0, "the outage is not over")
	c.expectNoStrikes()
}

// TestOutageRedelivered: with REWATCH_REDELIVER an outage costs nobody the subscription.
// What has no room is recovered as without it. At full size if it is asked for (make
// outage).
func TestOutageRedelivered(t *testing.T) {
	t.Parallel()
	plan, vars := town(hung, "udp", 20*time.Second), env{"REWATCH_NOTIFY_TIMEOUT": "4s", "REWATCH_REDELIVER": "10m"}
	if os.Getenv("OUTAGE") != "" {
		plan = outagePlan{way: hung, transport: "udp", people: cityPeople, rate: cityRate, lasts: time.Minute, messageRate: messageRate}
		delete(vars, "REWATCH_NOTIFY_TIMEOUT")
	}
	plan.redeliver = "10m"
	t.Run("with room", func(t *testing.T) {
		c := startOutage(t, plan, defaults(vars))
		c.redelivered(64 << 20)
	})
	t.Run("without", func(t *testing.T) {
		little := plan
		little.redeliver = "10m, little room"
		scarce := defaults(vars)
		scarce["REWATCH_MAX_REDELIVER"] = "1MiB"
		if os.Getenv("OUTAGE") == "" {
			scarce["REWATCH_MAX_REDELIVER"] = "128KiB"
		}
		c := startOutage(t, little, scarce)
		c.load()
		c.stop()
		bytes := c.r.metric("rewatch_redeliver_bytes")
		c.expect(bytes > 0 && bytes <= 1<<20, "%v bytes are kept", bytes)
		lost, before := c.city.lost(), c.mirror.requests()
		c.expect(lost > c.people/10 && lost < c.people, "%d subscriptions are lost", lost)
		newest := c.city.cseqs()
		c.returned = time.Now()
		c.core.thaw()
		within := time.Duration(c.people)*time.Second/time.Duration(c.messageRate) + 10*time.Second
		current := func() bool {
			n := 0
			c.city.mu.Lock()
			for p, cseq := range newest {
				w := p.server
				n += one(p.shows >= cseq && w.callID == p.callID && !w.gone || w.callID == p.callID && !w.gone && w.proven.After(c.returned))
			}
			c.city.mu.Unlock()
			return n == c.people
		}
		for !current() && time.Since(c.returned) < within {
			within += c.nap(50 * time.Millisecond)
		}
		c.sum(time.Since(c.returned), before)
		if !current() {
			c.t.Errorf("not everybody is current after %s: %s", within, c.city.census(c.returned))
		}
		c.expect(c.mirror.count("REGISTER") == 0, "%d de-REGISTERs", c.mirror.count("REGISTER"))
		c.expect(c.city.messages() >= lost, "%d MESSAGEs for %d lost", c.city.messages(), lost)
	})
}
