//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A stand is a replica between a scripted core and a scripted server of its own, so that
// it is known what came by which.
type stand struct {
	*site
	c *scscf
	n *notifier
	r *rewatch
}

func startStands(t *testing.T, n int, settings env) []*stand {
	t.Helper()
	var stands []*stand
	for range n {
		s := &stand{site: newSite(t)}
		s.n, s.c = s.startNotifier(), s.startSCSCF()
		s.r = s.startRewatch(settings)
		stands = append(stands, s)
	}
	return stands
}

// requests counts those of a method to a user, at all cores.
func requests(stands []*stand, method, user string) (n int) {
	for _, s := range stands {
		n += s.c.count(to(method, user))
	}
	return n
}

// signedOutTwice says whether a Contact of a user was signed out more than once.
func signedOutTwice(stands []*stand, user string) bool {
	seen := map[string]bool{}
	for _, s := range stands {
		for _, m := range s.c.all(to("REGISTER", user)) {
			if seen[m.get("contact")] {
				return true
			}
			seen[m.get("contact")] = true
		}
	}
	return false
}

// attemptsTo are the numbers that the MESSAGEs to a user say, at all cores, in order of
// time.
func attemptsTo(stands []*stand, user string) []string {
	var all []*message
	for _, s := range stands {
		all = append(all, s.c.all(to("MESSAGE", user))...)
	}
	slices.SortFunc(all, func(a, b *message) int { return a.at.Compare(b.at) })
	var said []string
	for _, m := range all {
		said = append(said, lineOf(m.body, "Attempt: "))
	}
	return said
}

// sum adds a metric up over the replicas.
func sum(stands []*stand, name string, labels ...string) (all float64) {
	for _, s := range stands {
		all += s.r.metric(name, labels...)
	}
	return all
}

// TestReplicasAtOnce: the subscriptions that users have at three servers fail at the same
// moment. Each of them gets the MESSAGEs of one recovery, whoever sends them, and each of
// its Contacts is signed out once, with one alarm.
func TestReplicasAtOnce(t *testing.T) {
	t.Parallel()
	shared := newSite(t)
	store, hook := shared.startRedis(), shared.startWebhook()
	stands := startStands(t, 3, env{
		"REWATCH_STATE": store.url(), "REWATCH_THRESHOLD": "3", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s",
		"REWATCH_ALARM_WEBHOOK": hook.url, "REWATCH_OUTAGE_RATIO": "1",
	})
	const people = 8
	user := func(i int) string { return fmt.Sprint("user", i) }
	var failing sync.WaitGroup
	at := make(chan struct{})
	for i := range people {
		for _, s := range stands {
			_, d := established(s.c, s.n, user(i), "bob")
			s.c.answer("NOTIFY", user(i), 480, "Temporarily Unavailable")
			failing.Go(func() {
				<-at
				if resp := s.n.notify(d, patience); resp == nil || resp.status != 481 {
					t.Errorf("the NOTIFY to %s: %v, want 481", user(i), resp)
				}
			})
		}
	}
	for _, s := range stands {
		s.r.kept()
	}
	close(at)
	failing.Wait()
	for i := range people {
		eventually(t, patient, user(i)+" is signed out", func() bool { return requests(stands, "REGISTER", user(i)) > 0 })
	}
	holds(t, 5*time.Second, "each Contact is signed out once", func() bool {
		for i := range people {
			if signedOutTwice(stands, user(i)) {
				return false
			}
		}
		return true
	})
	for i := range people {
		if got := attemptsTo(stands, user(i)); !slices.Equal(got, []string{"1 of 3", "2 of 3", "3 of 3"}) {
			t.Errorf("%s: MESSAGEs %v", user(i), got)
		}
		if raised := hook.of("watcher-exhausted", user(i), false); len(raised) != 1 {
			t.Errorf("%s: %d alarms", user(i), len(raised))
		}
	}
}

// TestRedisStandsStill: Redis takes connections and does not answer. SIP is as fast as
// ever, MESSAGEs go on, nobody is signed out, and there is one alarm; when Redis goes on
// it is cleared, and what was counted meanwhile is counted.
func TestRedisStandsStill(t *testing.T) {
	t.Parallel()
	shared := newSite(t)
	store, hook := shared.startRedis(), shared.startWebhook()
	stands := startStands(t, 2, env{
		"REWATCH_STATE": store.url(), "REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_ALARM_WEBHOOK": hook.url,
	})
	s := stands[0]
	_, alice := established(s.c, s.n, "alice", "bob")
	_, carol := established(s.c, s.n, "carol", "bob")
	s.r.kept()

	t.Cleanup(func() { store.signal(syscall.SIGCONT) })
	store.signal(syscall.SIGSTOP)
	s.c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	if resp := s.n.notify(alice, patience); resp == nil || resp.status != 481 {
		t.Fatalf("a NOTIFY that fails: %v", resp)
	}
	var took []time.Duration
	for began := time.Now(); time.Since(began) < 3*time.Second; {
		asked := time.Now()
		if resp := s.n.notify(carol, patience); resp == nil || resp.status != 200 {
			t.Fatalf("a NOTIFY meanwhile: %v", resp)
		}
		took = append(took, time.Since(asked))
	}
	slices.Sort(took)
	if p99 := took[len(took)*99/100]; p99 > 100*time.Millisecond { // find looks every 5 ms, and the machine is busy
		t.Errorf("p99 of %d NOTIFYs is %v", len(took), p99)
	}
	s.c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	eventually(t, patience, "both replicas tell of it", func() bool {
		return sum(stands, "rewatch_alarms_active", `name="store-unavailable"`) == 2
	})
	eventually(t, patience, "alice is given up", func() bool { return len(hook.of("watcher-exhausted", "alice", false)) == 1 })
	holds(t, 2*time.Second, "nobody is signed out", func() bool { return requests(stands, "REGISTER", "alice") == 0 })

	store.signal(syscall.SIGCONT)
	eventually(t, patient, "both replicas have it again", func() bool {
		return sum(stands, "rewatch_alarms_active", `name="store-unavailable"`) == 0
	})
	eventually(t, patience, "the other replica knows of alice", func() bool {
		_, body := stands[1].r.get("/api/v1/watchers/sip:alice@ims.example")
		return strings.Contains(body, `"phase": "exhausted"`)
	})
	t.Logf("%d NOTIFYs passed meanwhile, p50 %v, p99 %v", len(took), took[len(took)/2], took[len(took)*99/100])
}

// TestNotifyByAnotherReplica: the requests of a dialog come to another replica than its
// SUBSCRIBE. It forwards them, judges them and recovers the watcher, whose S-CSCF the
// first one saw.
func TestNotifyByAnotherReplica(t *testing.T) {
	t.Parallel()
	shared := newSite(t)
	stands := startStands(t, 2, env{"REWATCH_STATE": shared.startRedis().url(), "REWATCH_RESUBSCRIBE_TIMEOUT": "20s"})
	first, second := stands[0], stands[1]
	watcher, d := established(first.c, first.n, "alice", "bob")
	first.r.kept()
	// Both have one name, as behind one virtual address.
	elsewhere := func(routes []string) (all []string) {
		for _, r := range routes {
			all = append(all, strings.NewReplacer(first.ip(30), second.ip(30), first.ip(31), second.ip(31)).Replace(r))
		}
		return all
	}
	d.route, watcher.route = elsewhere(d.route), elsewhere(watcher.route)
	if resp := first.n.notify(d, patience); resp == nil || resp.status != 200 {
		t.Fatalf("a NOTIFY by the other replica: %v", resp)
	}
	first.c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	if resp := first.n.notify(d, patience); resp == nil || resp.status != 481 {
		t.Fatalf("one that fails: %v, want 481", resp)
	}
	m := first.c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	if m.source != second.coreSide() {
		t.Errorf("the MESSAGE came from %s", m.source)
	}
	if resp := first.c.again(watcher, 3600); resp.status != 481 {
		t.Errorf("a refresh in the dead dialog by the other replica: %v, want 481", resp)
	}
	// Alice subscribes by way of the first one again, which tells the second.
	first.c.script("NOTIFY", "alice", nil)
	_, d = established(first.c, first.n, "alice", "bob")
	if resp := first.n.notify(d, patience); resp == nil || resp.status != 200 {
		t.Fatalf("a NOTIFY after the return: %v", resp)
	}
	eventually(t, patience, "alice is recovered", func() bool {
		return sum(stands, "rewatch_recoveries_total", `result="recovered"`) == 1
	})
	holds(t, time.Second, "one MESSAGE", func() bool { return requests(stands, "MESSAGE", "alice") == 1 })
}

// TestFlappingByAnotherReplica: who was signed out by one replica, and is given up again
// by another, flaps. It is not signed out again at once.
func TestFlappingByAnotherReplica(t *testing.T) {
	t.Parallel()
	shared := newSite(t)
	hook := shared.startWebhook()
	stands := startStands(t, 2, env{
		"REWATCH_STATE": shared.startRedis().url(), "REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s",
		"REWATCH_ALARM_WEBHOOK": hook.url,
	})
	for i, s := range stands {
		if i > 0 {
			if r := s.c.register("alice", 0); r.status != 200 { // the end of the period before
				t.Fatalf("end of the registration: %v", r)
			}
		}
		_, d := established(s.c, s.n, "alice", "bob")
		s.r.kept()
		s.c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
		if resp := s.n.notify(d, patience); resp == nil || resp.status != 481 {
			t.Fatalf("a NOTIFY that fails: %v", resp)
		}
		if i == 0 {
			s.c.expect(patience, "de-REGISTER", to("REGISTER", "alice"))
			eventually(t, patience, "that is known to the other", func() bool {
				_, body := stands[1].r.get("/api/v1/watchers/sip:alice@ims.example")
				return strings.Contains(body, `"signed_out": true`)
			})
			s.r.kept()
		}
	}
	eventually(t, patience, "alice is found to flap", func() bool {
		return strings.Contains(stands[1].r.output(), "user flaps between registration and giving up")
	})
	holds(t, 3*time.Second, "alice is not signed out again", func() bool { return requests(stands, "REGISTER", "alice") == 1 })
}
