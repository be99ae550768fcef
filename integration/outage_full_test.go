//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The acceptance case, at its full size and with the defaults.
const (
	cityPeople  = 5000
	cityRate    = 500
	messageRate = 200
)

// TestOutageAtFullSize: the core is out for a minute under 500 NOTIFYs a second to
// 5,000 watchers, with the defaults: no MESSAGE and no de-REGISTER meanwhile, and one
// alarm; everybody is recovered in time after it, and nobody has a strike.
//
// It runs beside no other test, one way for a core to be out after the other; all but
// the first only if they are asked for (make outage). By TCP the state is kept in a file.
func TestOutageAtFullSize(t *testing.T) {
	for i, plan := range []outagePlan{
		{way: hung, transport: "udp"},
		{way: killed, transport: "udp"},
		{way: hung, transport: "tcp"},
		{way: killed, transport: "tcp"},
	} {
		t.Run(plan.way+"-"+plan.transport, func(t *testing.T) {
			if i > 0 && os.Getenv("OUTAGE") == "" {
				t.Skip("it takes two minutes: make outage")
			}
			plan.people, plan.rate, plan.lasts, plan.messageRate = cityPeople, cityRate, time.Minute, messageRate
			vars := defaults(nil)
			if plan.transport == "tcp" {
				vars["REWATCH_STATE"] = "file:" + filepath.Join(t.TempDir(), "state")
			}
			c := startOutage(t, plan, vars)
			c.load()
			c.goOut()
			c.comeBack()
			c.expectNoStrikes()
			c.expectFirstStrike()
		})
	}
}

// TestDeadPhonesAtFullSize: nine phones of 5,000 are dead, one of them with a hundred
// subscriptions. They are told and given up as ever; nobody else notices.
func TestDeadPhonesAtFullSize(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	hook := s.startWebhook()
	core := s.startBigCore()
	c := s.startCity(cityPeople, "udp")
	r := s.startRewatch(defaults(env{
		"REWATCH_ALARM_WEBHOOK": hook.url, "REWATCH_NOTIFY_TIMEOUT": "5s", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s",
		"REWATCH_THRESHOLD": "2", // a MESSAGE to a dead phone takes half a minute
	}))
	c.settle()
	deadPeople := c.people[100:109]
	busy := deadPeople[0]
	const friends = 110
	for i := range friends {
		c.subscribeTo(busy, fmt.Sprintf("friend%d", i), token("more"), func(bool) {})
	}
	eventually(t, patience, "one of them has many subscriptions", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		proven := 0
		for _, w := range busy.more {
			proven += one(!w.proven.IsZero())
		}
		return proven == friends
	})
	c.load(cityRate)
	r.fillWindow(cityRate)

	began := time.Now()
	c.change(deadPeople, func(p *citizen) { p.dead = true })
	for _, w := range busy.more {
		c.notify(w)
	}
	for _, p := range deadPeople {
		eventually(t, 3*time.Minute, p.user+" is signed out", func() bool { return core.deregistered(p.user) > 0 })
		eventually(t, patience, "the alarm is told", func() bool { return len(hook.of("watcher-exhausted", p.user, false)) > 0 })
	}
	c.load(0)
	for _, p := range deadPeople {
		if told, n, raised := c.told(p), core.deregistered(p.user), len(hook.of("watcher-exhausted", p.user, false)); n != 1 || raised != 1 ||
			!slices.Equal(told, []string{"1 of 2", "2 of 2"}) {
			t.Errorf("%s: MESSAGEs %v, %d de-REGISTERs, %d alarms", p.user, told, n, raised)
		}
	}
	if n := hook.about("core-outage", "", false); n != 0 || strings.Contains(r.output(), "outage") {
		t.Errorf("%d alarms of an outage", n)
	}
	if n := c.messages(); n != 2*len(deadPeople) {
		t.Errorf("%d MESSAGEs", n)
	}
	if n := c.working(began); n != cityPeople-len(deadPeople) {
		t.Errorf("%d watchers are well", n)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
