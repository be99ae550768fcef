//go:build integration

package integration

import (
	"path/filepath"
	"testing"
	"time"
)

// town is the plan of a smaller outage, with times that are shorter.
func town(way, transport string, lasts time.Duration) outagePlan {
	return outagePlan{way: way, transport: transport, people: 400, rate: 100, lasts: lasts, messageRate: 50}
}

// TestOutageOfATown: the same with fewer people, less time for a NOTIFY and a state that
// is kept in a file. The strikes that were counted before the outage, when others got
// through, are the users' own.
func TestOutageOfATown(t *testing.T) {
	t.Parallel()
	for way, transport := range map[string]string{hung: "udp", killed: "tcp"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			c := startOutage(t, town(way, transport, 20*time.Second), env{
				"REWATCH_NOTIFY_TIMEOUT": "4s", "REWATCH_STATE": "file:" + filepath.Join(t.TempDir(), "state"),
			})
			guilty := c.city.people[7:11]
			c.strike(guilty[0])
			c.load()
			for _, p := range guilty[1:] {
				c.strike(p)
			}
			strikes := c.city.strikes(c.r)
			if len(strikes) != len(guilty) {
				t.Fatalf("strikes before the outage: %v", strikes)
			}
			c.goOut()
			c.comeBack()
			c.expectNoStrikes(strikes...)
			c.expectFirstStrike()
		})
	}
}

// TestOutageInADryRun: everything is noticed and counted, and nothing leaves. The server
// hears nothing from rewatch, and gives the subscriptions up by itself.
func TestOutageInADryRun(t *testing.T) {
	t.Parallel()
	c := startOutage(t, town(hung, "udp", 45*time.Second), env{"REWATCH_NOTIFY_TIMEOUT": "4s", "REWATCH_DRY_RUN": "true"})
	c.load()
	c.core.freeze()
	would := func(what string) float64 { return c.r.metric("rewatch_dry_run_total", `action="`+what+`"`) }
	eventually(t, patience, "the outage is noticed", func() bool { return c.r.metric("rewatch_outage") == 1 && would("alarm") == 1 })
	eventually(t, c.lasts, "the server gives everybody up", func() bool { return c.city.working(time.Time{}) == 0 })
	c.expect(would("message") == 0 && would("deregister") == 0, "in the outage %v MESSAGEs would have been sent and %v de-REGISTERs", would("message"), would("deregister"))
	c.expect(would("probe") > 3, "the core would have been asked %v times", would("probe"))

	// Somebody subscribes, which shows that the core is there. To others it brings the
	// last NOTIFYs late; the rest would be told.
	c.core.thaw()
	c.city.subscribe(c.city.people[0], func(bool) {})
	eventually(t, patience, "the outage is over", func() bool { return c.r.metric("rewatch_outage") == 0 })
	eventually(t, time.Duration(c.people/c.messageRate)*time.Second+patience, "everybody is worked off", func() bool {
		return c.r.metric("rewatch_outage_watchers") == 0 && would("message") > float64(c.people/10)
	})
	for _, method := range []string{"MESSAGE", "OPTIONS", "REGISTER"} {
		c.expect(c.mirror.count(method) == 0, "%d times %s left", c.mirror.count(method), method)
	}
	c.expect(len(c.hook.of("core-outage", "", false)) == 0 && c.city.messages() == 0, "somebody was told")
}
