//go:build integration

package integration

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// crowd are the watchers of TestOutage, enough of them to be told from a phone.
const crowd = 30

// TestOutage: the whole core falls silent and returns. Nobody is told, counted or
// signed out meanwhile; afterwards everybody is told once, and has no strike.
func TestOutage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	hook := s.startWebhook()
	// Before the first MESSAGE all have to have failed, on a busy machine too.
	r := s.startRewatch(env{"REWATCH_ALARM_WEBHOOK": hook.url, "REWATCH_MESSAGE_RATE": "50", "REWATCH_COALESCE": "2s"})
	user := func(i int) string { return fmt.Sprintf("user%d", i) }
	servers := make([]*dialog, crowd)
	for i := range servers {
		_, servers[i] = established(c, n, user(i), "bob")
	}

	c.fallSilent(user)
	var answers sync.WaitGroup
	for i, d := range servers {
		answers.Go(func() {
			if resp := n.notify(d, patience); resp == nil || resp.status != 481 {
				t.Errorf("the NOTIFY to %s is answered %v, want 481", user(i), resp)
			}
		})
	}
	answers.Wait()
	eventually(t, patience, "the outage is noticed", func() bool { return r.metric("rewatch_outage") == 1 })
	raised := func(cleared bool) int { return hook.about("core-outage", c.addr, cleared) }
	messages := func() int { return c.count(func(m *message) bool { return m.method == "MESSAGE" }) }
	holds(t, 5*time.Second, "one alarm, and nobody is told", func() bool {
		return messages() == 0 && raised(true) == 0 && raised(false) < 2
	})
	if got := raised(false); got != 1 {
		t.Errorf("%d alarms", got)
	}
	if c.count(func(m *message) bool { return m.method == "OPTIONS" }) == 0 {
		t.Error("nobody asked the core whether it is there")
	}

	// The first of them is back by itself, and proves that the core is.
	c.comeBack(user)
	_, mine := established(c, n, user(0), "bob")
	if resp := n.notify(mine, patience); resp == nil || resp.status != 200 {
		t.Fatalf("the NOTIFY to the one who is back is answered %v", resp)
	}
	eventually(t, patience, "the outage is over", func() bool {
		return r.metric("rewatch_outage") == 0 && raised(true) == 1
	})
	eventually(t, crowd*time.Second/50+10*time.Second, "everybody else is told", func() bool { return messages() == crowd-1 })
	for i := 1; i < crowd; i++ {
		if all := c.all(to("MESSAGE", user(i))); len(all) != 1 || !strings.Contains(all[0].body, "Attempt: 0 of 3") {
			t.Errorf("%s: %d MESSAGEs, %v", user(i), len(all), all)
		}
		_, d := established(c, n, user(i), "bob")
		n.notify(d, patience)
	}
	eventually(t, patience, "everybody is recovered", func() bool {
		// The first one may have failed before the outage was noticed, and counts then.
		return r.metric("rewatch_recoveries_total", `result="recovered"`) >= crowd-1
	})
	if c.count(to("MESSAGE", user(0))) != 0 {
		t.Error("who was back already was told")
	}
	if k := c.count(func(m *message) bool { return m.method == "REGISTER" && m.get("Expires") == "0" }); k != 0 {
		t.Errorf("%d de-REGISTERs", k)
	}

	// No strike was left: the next failure is the first.
	_, d := established(c, n, user(1), "eve")
	c.answer("NOTIFY", user(1), 480, "Temporarily Unavailable")
	n.notify(d, patience)
	eventually(t, patience, "a MESSAGE of the user's own", func() bool { return c.count(to("MESSAGE", user(1))) == 2 })
	if last := c.all(to("MESSAGE", user(1)))[1]; !strings.Contains(last.body, "Attempt: 1 of 3") {
		t.Errorf("the MESSAGE says:\n%s", last.body)
	}
}

// fallSilent has the core answer nothing that matters, nor OPTIONS.
func (c *scscf) fallSilent(user func(int) string) {
	c.silence("OPTIONS", "")
	for i := range crowd {
		c.silence("NOTIFY", user(i))
		c.silence("MESSAGE", user(i))
	}
}

func (c *scscf) comeBack(user func(int) string) {
	c.script("OPTIONS", "", nil)
	for i := range crowd {
		c.script("NOTIFY", user(i), nil)
		c.script("MESSAGE", user(i), nil)
	}
}
