//go:build integration

package integration

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// bystanders are 50 honest watchers behind a scripted core. Whatever somebody else does
// meanwhile, each of them gets every NOTIFY and no MESSAGE, and stays signed in; and what fails
// of them afterwards is recovered.
type bystanders struct {
	*testing.T
	s *site
	n *notifier
	c *scscf
	r *rewatch
	// honest are the ends of their dialogs at the core, theirs those at the server.
	honest, theirs []*dialog
}

const manyHonest = 50

func honestUser(i int) string { return fmt.Sprint("honest", i) }

// startBystanders registers and subscribes them, half of them by UDP and half by TCP.
func (s *site) startBystanders(n *notifier, c *scscf, r *rewatch) *bystanders {
	s.t.Helper()
	b := &bystanders{T: s.t, s: s, n: n, c: c, r: r}
	for i := range manyHonest {
		c.register(honestUser(i), 3600)
		d, resp := c.subscribeOver([]string{"udp", "tcp"}[i%2], wish{user: honestUser(i), buddy: "bob"})
		if resp.status != 200 {
			b.Fatal(resp)
		}
		b.honest, b.theirs = append(b.honest, d), append(b.theirs, n.dialog(d.callID))
	}
	return b
}

// worst is for how long an attack goes on: HOSTILE (make hostile: a minute), or a few rounds.
func worst(t *testing.T) time.Duration {
	t.Helper()
	if os.Getenv("HOSTILE") == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(os.Getenv("HOSTILE"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// during is an attack, round by round; in each of them all get their NOTIFY.
func (b *bystanders) during(least int, attack func(round int)) {
	b.Helper()
	rounds := 0
	for began := time.Now(); rounds < least || time.Since(began) < worst(b.T); rounds++ {
		attack(rounds)
		b.served(fmt.Sprint("round ", rounds), 0)
	}
	b.Logf("%d rounds, %d NOTIFYs of the honest", rounds, rounds*manyHonest)
}

// served: all from the given one on get a NOTIFY.
func (b *bystanders) served(when string, from int) {
	b.Helper()
	for i, d := range b.theirs[from:] {
		if resp := b.n.notify(d, patience); resp == nil || resp.status != 200 {
			b.Fatalf("%s: the NOTIFY of %s: %v", when, honestUser(from+i), resp)
		}
	}
}

// unharmed: nobody of them was told or signed out, and nobody thinks that the server or the
// core is down.
func (b *bystanders) unharmed() {
	b.Helper()
	holds(b.T, 4*time.Second, "the honest are left alone", func() bool {
		for i := range manyHonest {
			if b.c.count(to("MESSAGE", honestUser(i))) != 0 || b.c.count(to("REGISTER", honestUser(i))) != 0 {
				return false
			}
		}
		return true
	})
	for i := range manyHonest {
		var v struct{ Registered bool }
		if b.r.api("watchers/sip:"+honestUser(i)+"@ims.example", &v); !v.Registered {
			b.Errorf("%s is signed out", honestUser(i))
		}
	}
	if status, why := b.r.get("/readyz"); status != 200 {
		b.Errorf("readyz: %d %s", status, why)
	}
	for _, name := range []string{"server-down", "core-outage", "routing-fault"} {
		if n := b.r.metric("rewatch_alarms_active", `name="`+name+`"`); n != 0 {
			b.Errorf("%s is raised", name)
		}
	}
}

// recovered: one of them fails, and is told.
func (b *bystanders) recovered() {
	b.Helper()
	b.c.answer("NOTIFY", honestUser(0), 480, "Gone")
	if resp := b.n.notify(b.theirs[0], patience); resp == nil || resp.status != 481 {
		b.Errorf("an honest watcher's own failure: %v", resp)
	}
	b.served("afterwards", 1) // which proves the path
	b.c.expect(patience, "a MESSAGE to honest0", to("MESSAGE", honestUser(0)))
}
