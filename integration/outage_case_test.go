//go:build integration

package integration

import (
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The ways for a core to be out.
const (
	hung   = "hung"   // half of the phones move meanwhile
	killed = "killed" // started anew it has forgotten everybody
)

// An outagePlan says how many are hit by what.
type outagePlan struct {
	way, transport string
	redeliver      string // how it is told in the sum
	people         int
	dead           int     // further ones, whose phones die one after the other
	rate           float64 // NOTIFYs a second
	lasts          time.Duration
	messageRate    int
}

// An outageCase is a core that is out, with a city behind it.
type outageCase struct {
	outagePlan
	t      *testing.T
	city   *city
	core   *core
	r      *rewatch
	hook   *webhook
	mirror *mirror
	// returned is when the core was let go on, or started. Phones register with it
	// from then on.
	returned    time.Time
	registering sync.WaitGroup
}

// defaults are the variables that the tests have shorter otherwise.
func defaults(extra env) env {
	all := env{"REWATCH_NOTIFY_TIMEOUT": "28s", "REWATCH_RESUBSCRIBE_TIMEOUT": "30s", "REWATCH_COALESCE": "500ms", "REWATCH_LOG_LEVEL": "info"}
	maps.Copy(all, extra)
	return all
}

// startOutage starts everything, and waits until everybody has what they want.
func startOutage(t *testing.T, plan outagePlan, vars env) *outageCase {
	t.Helper()
	s := newSite(t)
	c := &outageCase{outagePlan: plan, t: t, hook: s.startWebhook(), mirror: s.startMirror()}
	c.core = s.startBigCore()
	c.city = s.startCity(plan.people+plan.dead, plan.transport)
	all := env{
		"REWATCH_SERVER":        "sip:" + s.ip(40) + ":5070;transport=" + plan.transport,
		"REWATCH_CORE":          "sip:" + s.ip(20) + ":5060;transport=" + plan.transport,
		"REWATCH_MESSAGE_RATE":  strconv.Itoa(plan.messageRate),
		"REWATCH_ALARM_WEBHOOK": c.hook.url, "REWATCH_HEP": c.mirror.addr, "REWATCH_HEP_ID": "7",
	}
	maps.Copy(all, vars)
	c.r = s.startRewatch(all)
	t.Cleanup(c.registering.Wait)
	c.city.settle()
	return c
}

// load lets the server talk, until the window of the detector is full of successes.
func (c *outageCase) load() {
	c.city.load(c.rate)
	c.r.fillWindow(c.rate)
}

// fillWindow waits until as many NOTIFYs have got through as the window of the detector holds at
// a rate.
func (r *rewatch) fillWindow(rate float64) {
	const window = 10 // seconds, the default of REWATCH_OUTAGE_WINDOW
	through := func() float64 { return r.metric("rewatch_notify_total", `result="ok"`) }
	before := through()
	eventually(r.t, 4*patience, "the window is full of successes", func() bool { return through() >= before+window*rate })
}

// expect reports what is not as it should be.
func (c *outageCase) expect(ok bool, format string, args ...any) {
	c.t.Helper()
	if !ok {
		c.t.Errorf(format, args...)
	}
}

// alarms counts how often the outage was told of.
func (c *outageCase) alarms(cleared bool) int {
	return c.hook.about("core-outage", c.core.s.ip(20)+":5060", cleared)
}

// stop stops the core, and watches that nothing happens but one alarm.
func (c *outageCase) stop() {
	c.t.Helper()
	if c.way == hung {
		c.core.freeze()
	} else {
		c.core.killAll()
	}
	for out := time.Now(); time.Since(out) < c.lasts; time.Sleep(200 * time.Millisecond) {
		c.r.running()
		ready, text := c.r.get("/readyz") // 0: the machine is busy
		if ready != http.StatusOK && ready != 0 || c.alarms(false) > 1 || c.alarms(true) > 0 {
			c.t.Fatalf("after %s: readyz %d %s, %d alarms, %d cleared", time.Since(out), ready, text, c.alarms(false), c.alarms(true))
		}
	}
	c.expect(c.r.metric("rewatch_outage") == 1, "rewatch_outage is not 1")
}

// goOut stops the core for its time; everybody is broken by then.
func (c *outageCase) goOut() {
	c.t.Helper()
	before, sent := c.mirror.count("MESSAGE"), c.r.metric("rewatch_messages_total")
	c.stop()
	c.expect(c.alarms(false) == 1, "%d alarms", c.alarms(false))
	waiting := c.r.metric("rewatch_outage_watchers") // but for the first ones, whose recovery had begun
	c.expect(waiting > float64(c.people-40) && waiting <= float64(c.people), "rewatch_outage_watchers is %v", waiting)
	told, done := c.mirror.count("MESSAGE")-before, c.r.metric("rewatch_messages_total")-sent
	c.expect(told == 0 && done == 0, "%d MESSAGEs left in the outage, %v are done", told, done)
	asked := c.mirror.count("OPTIONS") // several times each by UDP
	c.expect(asked > 3 && asked < 10+2*int(c.lasts.Seconds()), "the core was asked %d times whether it is there", asked)
	broken := c.people - c.city.working(time.Time{})
	c.expect(broken == c.people, "%d are broken", broken)
}

// letBack lets the core return. Phones that have moved, or whom it has forgotten,
// register with it.
func (c *outageCase) letBack() {
	c.t.Helper()
	who := c.city.people[:c.people]
	if c.way == hung {
		who = who[:len(who)/2]
		c.city.change(who, func(p *citizen) { p.home = 1 })
	}
	c.returned = time.Now()
	if c.way == hung {
		c.core.thaw()
	} else {
		c.core = c.core.s.startBigCore()
	}
	c.registering.Go(func() { c.city.all("REGISTER", who, 2*c.messageRate, c.city.register) })
}

// well counts those of the living who have got a NOTIFY since the core returned.
func (c *outageCase) well() int { return c.city.working(c.returned, c.city.people[:c.people]...) }

// comeBack lets the core return and waits until everybody is recovered.
func (c *outageCase) comeBack() {
	c.t.Helper()
	before := c.mirror.requests()
	c.letBack()
	within := time.Duration(c.people)*time.Second/time.Duration(c.messageRate) + 10*time.Second
	for c.well() < c.people && time.Since(c.returned) < within {
		within += c.nap(50 * time.Millisecond)
	}
	took := time.Since(c.returned)
	c.t.Logf("%d of %d recovered after %s of %s, with %d MESSAGEs", c.well(), c.people, took, within, c.city.messages())
	c.sum(took, before)
	if left := c.people - c.well(); left > 0 && left <= goAhead {
		// Those who tried the hop first were told while their phones were still to
		// register anew, and their MESSAGE has met with silence (Timer F).
		eventually(c.t, 40*time.Second, "those who went ahead are recovered as well", func() bool { return c.well() == c.people })
	} else if left > 0 {
		c.t.Fatalf("not everybody is recovered: %s", c.city.census(c.returned))
	}
	c.registering.Wait()
	c.expect(c.alarms(false) == 1 && c.alarms(true) == 1, "raised %d times, cleared %d times", c.alarms(false), c.alarms(true))
	c.expectNobodyGivenUp()
	c.expect(c.r.metric("rewatch_outage") == 0 && c.r.metric("rewatch_outage_watchers") == 0, "rewatch_outage is not 0")
	log := c.r.output()
	c.expect(strings.Count(log, "outage: recovery is held") == 1 && strings.Count(log, "outage is over") == 1, "the log does not tell of one outage")
}

// expectNobodyGivenUp: nobody whose phone lives.
func (c *outageCase) expectNobodyGivenUp() {
	c.t.Helper()
	signedOut, given := c.mirror.count("REGISTER"), c.hook.about("watcher-exhausted", "", false)
	for _, p := range c.city.people[c.people:] {
		signedOut -= one(c.core.deregistered(p.user) > 0)
		given -= one(len(c.hook.of("watcher-exhausted", p.user, false)) > 0)
	}
	c.expect(signedOut == 0 && given == 0, "%d of those who live were signed out, %d given up", signedOut, given)
}

// goAhead is how many are told while a hop is held that has answered OPTIONS.
const goAhead = 3

// nap sleeps, and gives how much longer that took than it should. Beside other tests
// that time is not held against rewatch, which did not have the machine in it either.
func (c *outageCase) nap(d time.Duration) time.Duration {
	began := time.Now()
	time.Sleep(d)
	if os.Getenv("OUTAGE") != "" {
		return 0
	}
	return time.Since(began) - d
}

// expectNoStrikes: nobody has one, but those who had it before.
func (c *outageCase) expectNoStrikes(but ...string) {
	c.t.Helper()
	eventually(c.t, patience, "every recovery has ended, but for those given up", func() bool {
		return c.r.metric("rewatch_recoveries_active") == float64(c.dead)
	})
	strikes := c.city.strikes(c.r)
	c.expect(slices.Equal(strikes, but), "%d have strikes, %s", len(strikes), strings.Join(strikes, " "))
}

// expectFirstStrike: the next failure of a user is its first.
func (c *outageCase) expectFirstStrike() {
	c.t.Helper()
	p := c.city.people[42]
	told := len(c.city.told(p))
	c.strike(p)
	c.expect(c.city.told(p)[told] == "1 of 3", "the MESSAGEs to %s say %v", p.user, c.city.told(p))
}

// strike lets a NOTIFY to somebody fail, and waits until that user has been told and is well
// again.
func (c *outageCase) strike(p *citizen) {
	c.t.Helper()
	told, began, lost := len(c.city.told(p)), time.Now(), c.city.newest(p)
	c.core.fault(p.user, "480")
	c.city.notify(lost)
	eventually(c.t, patience, "the server gives the subscription up", func() bool { return c.city.isGone(lost) })
	c.core.heal(p.user)
	eventually(c.t, patience, "a MESSAGE of the user's own", func() bool { return len(c.city.told(p)) > told })
	eventually(c.t, patience, "the user is well again", func() bool { return c.city.working(began, p) == 1 })
}
