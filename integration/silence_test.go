//go:build integration

package integration

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// TestSilentCore: the core is silent for long in front of few watchers or many, at one
// NOTIFY per watcher and minute. Nobody is told meanwhile; one alarm; afterwards everybody
// is told or comes back, and nobody has a strike. Three phones more die: one is given up
// before it, one has been told once when it begins, one dies after it. Each is given up as
// ever.
//
// With OUTAGE set (make outage) it takes ten minutes of silence, at the times that are the
// defaults, in front of up to 5,000; and the phones that have died take no MESSAGE either.
func TestSilentCore(t *testing.T) {
	t.Parallel()
	sizes, lasts, vars := []int{3, 10, 30}, 66*time.Second, env{"REWATCH_RESUBSCRIBE_TIMEOUT": "2s"}
	full := os.Getenv("OUTAGE") != ""
	if full {
		sizes, lasts, vars = append(sizes, 200, cityPeople), 10*time.Minute, defaults(nil)
	}
	vars["REWATCH_THRESHOLD"] = "2"
	for _, people := range sizes {
		t.Run(strconv.Itoa(people), func(t *testing.T) {
			t.Parallel()
			plan := outagePlan{way: hung, transport: "udp", people: people, dead: 3, rate: float64(people) / 60, lasts: lasts, messageRate: messageRate}
			c := startOutage(t, plan, vars)
			victims := c.city.people[people:]
			die := func(p *citizen) {
				c.city.change([]*citizen{p}, func(p *citizen) { p.dead, p.numb = full, true })
				c.city.notify(c.city.newest(p))
			}
			c.city.load(c.rate)
			die(victims[0])
			c.expectGivenUp(victims[0])

			die(victims[1])
			eventually(t, patient, "the second one is told", func() bool { return len(c.city.told(victims[1])) == 1 })
			other, now := c.city.people[0], time.Now()
			c.city.notify(c.city.newest(other))
			eventually(t, patience, "another gets through after that", func() bool { return c.city.working(now, other) == 1 })
			c.stop()
			c.expect(c.alarms(false) == 1, "%d alarms", c.alarms(false))
			waiting := c.r.metric("rewatch_outage_watchers")
			c.expect(waiting >= float64(people) && waiting <= float64(people+2), "%v watchers wait for the end of it", waiting)
			c.expectNobodyGivenUp()
			told := c.city.messages()

			c.comeBack()
			took := c.r.metric("rewatch_recovery_seconds_sum") // from when each broke, half a minute and more on average
			c.expect(took > float64(10*people), "the recoveries took %v s together", took)
			eventually(t, patient, "the last phone is well before it dies", func() bool { return c.city.working(c.returned, victims[2]) == 1 })
			over := time.Now()
			eventually(t, patient, "the core is not taken to stumble any more", func() bool { return time.Since(over) > 12*time.Second })
			die(victims[2])
			c.expectGivenUp(victims[1])
			c.expectGivenUp(victims[2])
			c.expectNoStrikes(victims[0].user, victims[1].user, victims[2].user)
			c.expectNobodyGivenUp()
			c.expect(c.alarms(false) == 1 && c.alarms(true) == 1, "raised %d times, cleared %d times", c.alarms(false), c.alarms(true))
			t.Logf("%d watchers, %s of silence: %d MESSAGEs before its end, %d in all", people, lasts, told, c.city.messages())
		})
	}
}

// expectGivenUp: somebody's phone is signed out, and the administrator told once.
func (c *outageCase) expectGivenUp(p *citizen) {
	c.t.Helper()
	eventually(c.t, 6*time.Minute, p.user+" is signed out", func() bool { return c.core.deregistered(p.user) == 1 })
	eventually(c.t, patience, "the alarm is told", func() bool { return len(c.hook.of("watcher-exhausted", p.user, false)) == 1 })
}
