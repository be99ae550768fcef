//go:build integration

package integration

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The acceptance case, at its full size.
const (
	cityPeople  = 5000
	cityRate    = 500
	cityOutage  = 60 * time.Second
	messageRate = 200 // the default
)

// defaults are the variables that the tests have shorter otherwise.
func defaults(extra env) env {
	all := env{"REWATCH_NOTIFY_TIMEOUT": "28s", "REWATCH_RESUBSCRIBE_TIMEOUT": "30s", "REWATCH_COALESCE": "500ms", "REWATCH_LOG_LEVEL": "info"}
	maps.Copy(all, extra)
	return all
}

// TestOutageAtFullSize: the core is out for a minute under 500 NOTIFYs a second to
// 5,000 watchers, with the defaults: no MESSAGE and no de-REGISTER meanwhile, and one
// alarm; everybody is recovered in time after it, and nobody has a strike.
//
// It wants the machine for itself: beside the other tests the last watchers come some
// seconds late.
func TestOutageAtFullSize(t *testing.T) {
	if os.Getenv("OUTAGE") == "" {
		t.Skip("it takes three minutes and the whole machine: make outage")
	}
	var cases []*outageCase
	for _, transport := range []string{"udp", "tcp"} {
		cases = append(cases,
			startOutageCase(t, "hung, "+transport, transport, (*core).freeze, goOn),
			startOutageCase(t, "killed, "+transport, transport, (*core).killAll, startAnew))
	}
	together := func(do func(*outageCase)) {
		var all sync.WaitGroup
		for _, c := range cases {
			all.Go(func() { do(c) })
		}
		all.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	together(func(c *outageCase) {
		c.city.settle()
		c.city.load(cityRate)
	})
	time.Sleep(12 * time.Second) // the window of the detector is full of successes
	together((*outageCase).goOut)
	together((*outageCase).comeBack)
	together((*outageCase).after)
}

// An outageCase is one way for a core to be out, on a site of its own.
type outageCase struct {
	t    *testing.T
	name string
	// stop stops the core. back brings it back, and says when it was there.
	stop func(*core)
	back func(*outageCase) time.Time

	city   *city
	core   *core
	r      *rewatch
	hook   *webhook
	mirror *mirror
	broken int
}

func startOutageCase(t *testing.T, name, transport string, stop func(*core), back func(*outageCase) time.Time) *outageCase {
	s := newSite(t)
	c := &outageCase{t: t, name: name, stop: stop, back: back, hook: s.startWebhook(), mirror: s.startMirror()}
	c.core = s.startBigCore()
	c.city = s.startCity(cityPeople, transport)
	c.r = s.startRewatch(defaults(env{
		"REWATCH_SERVER":        "sip:" + s.ip(40) + ":5070;transport=" + transport,
		"REWATCH_CORE":          "sip:" + s.ip(20) + ":5060;transport=" + transport,
		"REWATCH_ALARM_WEBHOOK": c.hook.url, "REWATCH_HEP": c.mirror.addr, "REWATCH_HEP_ID": "7",
	}))
	return c
}

// expect reports what is not as it should be.
func (c *outageCase) expect(ok bool, format string, args ...any) {
	if !ok {
		c.t.Errorf(c.name+": "+format, args...)
	}
}

// alarms counts how often the outage was told of.
func (c *outageCase) alarms(cleared bool) int {
	return c.hook.about("core-outage", c.core.s.ip(20)+":5060", cleared)
}

// goOut stops the core for a minute and watches that nothing happens but one alarm.
func (c *outageCase) goOut() {
	c.stop(c.core)
	for out := time.Now(); time.Since(out) < cityOutage; time.Sleep(200 * time.Millisecond) {
		if ready, text := c.r.get("/readyz"); ready != http.StatusOK || c.alarms(false) > 1 || c.alarms(true) > 0 {
			c.expect(false, "after %s: readyz %d %s, %d alarms, %d cleared", time.Since(out), ready, text, c.alarms(false), c.alarms(true))
			return
		}
	}
	c.expect(c.alarms(false) == 1, "%d alarms", c.alarms(false))
	c.expect(c.r.metric("rewatch_outage") == 1, "rewatch_outage is not 1")
	waiting := c.r.metric("rewatch_outage_watchers") // but for the first ones, whose recovery had begun
	c.expect(waiting > cityPeople-20 && waiting <= cityPeople, "rewatch_outage_watchers is %v", waiting)
	c.expect(c.mirror.count("MESSAGE") == 0, "%d MESSAGEs left in the outage", c.mirror.count("MESSAGE"))
	asked := c.mirror.count("OPTIONS")
	c.expect(asked > 5 && asked < 40, "the core was asked %d times whether it is there", asked) // several times each by UDP
	c.broken = c.city.lost()
	c.expect(c.broken == cityPeople, "%d are broken", c.broken)
}

// comeBack lets the core return and waits until everybody is recovered.
func (c *outageCase) comeBack() {
	back := c.back(c)
	within := time.Duration(c.broken)*time.Second/messageRate + 10*time.Second
	for c.city.working(back) < cityPeople && time.Since(back) < within {
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Logf("%s: %d recovered after %s, with %d MESSAGEs", c.name, c.city.working(back), time.Since(back), c.city.messages())
	c.expect(c.city.working(back) == cityPeople, "%d of %d are recovered after %s", c.city.working(back), cityPeople, within)
}

// after looks at what is left of it.
func (c *outageCase) after() {
	c.expect(c.alarms(false) == 1 && c.alarms(true) == 1, "raised %d times, cleared %d times", c.alarms(false), c.alarms(true))
	c.expect(c.hook.about("watcher-exhausted", "", false) == 0, "somebody was given up")
	c.expect(c.r.metric("rewatch_outage") == 0 && c.r.metric("rewatch_outage_watchers") == 0, "rewatch_outage is not 0")
	c.expect(c.mirror.count("REGISTER") == 0, "%d de-REGISTERs", c.mirror.count("REGISTER"))
	log := c.r.output()
	c.expect(strings.Count(log, "outage: recovery is held") == 1 && strings.Count(log, "outage is over") == 1, "the log does not tell of one outage")
	strikes := c.city.strikes(c.r)
	c.expect(len(strikes) == 0, "%d have strikes, %s", len(strikes), strings.Join(strikes, " "))

	// The next failure is the first.
	p := c.city.people[42]
	c.core.fault(p.user, "480")
	c.city.notify(p.server)
	told := len(c.city.told(p))
	eventually(c.t, patience, "a MESSAGE of the user's own", func() bool { return len(c.city.told(p)) > told })
	c.expect(c.city.told(p)[told] == "1 of 3", "the MESSAGEs to %s say %v", p.user, c.city.told(p))
}

// goOn lets a core go on that hung. Half of the phones have moved meanwhile, and tell
// it.
func goOn(c *outageCase) time.Time {
	moved := c.city.people[:cityPeople/2]
	c.city.change(moved, func(p *citizen) { p.home = 1 })
	c.core.thaw()
	back := time.Now()
	c.city.all("REGISTER of those who moved", moved, 2*messageRate, c.city.register)
	return back
}

// startAnew starts a core that was killed, and has forgotten everybody: all phones
// register again.
func startAnew(c *outageCase) time.Time {
	c.core = c.core.s.startBigCore()
	back := time.Now()
	c.city.all("REGISTER of all", c.city.people, 2*messageRate, c.city.register)
	if later := time.Since(back) - cityPeople*time.Second/messageRate; later > 0 {
		back = back.Add(later) // nobody can be told before
	}
	return back
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
	time.Sleep(12 * time.Second) // the window of the detector is full of successes

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
