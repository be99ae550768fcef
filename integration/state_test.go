//go:build integration

package integration

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// kill ends a process as the kernel does: at once, with nothing put in order.
func (p *process) kill() {
	p.once.Do(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
}

// kept waits until nothing is left that a crash could take away.
func (r *rewatch) kept() {
	r.t.Helper()
	eventually(r.t, patience, "all is kept", func() bool {
		_, text := r.get("/metrics")
		return strings.Contains(text, "\nrewatch_state_pending 0\n")
	})
}

var attemptLine = regexp.MustCompile(`Attempt: (\d+) of`)

// attempts are the numbers that the MESSAGEs to a phone say, in their order.
func (p *phone) attempts() []int {
	var all []int
	for _, m := range p.all(to("MESSAGE", p.user)) {
		if found := attemptLine.FindStringSubmatch(m.body); found != nil {
			n, _ := strconv.Atoi(found[1])
			all = append(all, n)
		}
	}
	return all
}

// rising says whether no attempt was made twice and no strike was forgotten.
func rising(attempts []int) bool {
	for i := 1; i < len(attempts); i++ {
		if attempts[i] <= attempts[i-1] {
			return false
		}
	}
	return true
}

// TestKilled: rewatch is killed again and again while a recovery runs, from the
// first MESSAGE to the de-REGISTER. With REWATCH_STATE_SYNC=0s nothing may be lost:
// no MESSAGE is sent twice, no strike is forgotten, and there is one de-REGISTER
// and one alarm.
func TestKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startPresence()
	core := s.startCore()
	hook := s.startWebhook()
	settings := env{
		"REWATCH_STATE": "file:" + s.file("state.db"), "REWATCH_STATE_SYNC": "0s", "REWATCH_THRESHOLD": "4",
		"REWATCH_NOTIFY_TIMEOUT": "1s", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_ALARM_WEBHOOK": hook.url,
	}
	r := s.startRewatch(settings)
	alice := s.startPhone("alice", 50)
	alice.register(600)
	alice.subscribed("bob")
	core.fault("alice", "lose-response")
	s.publish("bob", "here")
	eventually(t, patience, "the first MESSAGE", func() bool { return len(alice.attempts()) > 0 })
	kills := 0
	for began := time.Now(); core.bound("alice", "") && time.Since(began) < patient; kills++ {
		time.Sleep(rand.N(1200 * time.Millisecond))
		r.kill()
		r = s.startRewatch(settings) // the file opens each time
		if kills == 0 && r.metric("rewatch_registrations") != 1 {
			t.Error("the registration is forgotten")
		}
	}
	eventually(t, patient, "alice is signed out", func() bool { return !core.bound("alice", "") })
	eventually(t, patience, "the alarm is told", func() bool { return len(hook.of("watcher-exhausted", "alice", false)) > 0 })
	r.kill()
	r = s.startRewatch(settings)
	holds(t, 3*time.Second, "nothing more happens", func() bool { return core.deregistered("alice") <= 1 })
	if got := alice.attempts(); !rising(got) || got[len(got)-1] > 4 {
		t.Errorf("attempts %v", got)
	}
	ids := make(map[string]bool)
	for _, p := range hook.of("watcher-exhausted", "alice", false) {
		ids[p.ID] = true
	}
	if len(ids) != 1 {
		t.Errorf("alarms %v, want one", ids)
	}
	if got := r.metric("rewatch_alarms_active", `name="watcher-exhausted"`); got != 1 {
		t.Errorf("rewatch_alarms_active is %v", got)
	}
	core.heal("alice")
	alice.register(600)
	alice.subscribed("bob")
	eventually(t, patience, "the alarm is cleared", func() bool {
		cleared := hook.of("watcher-exhausted", "alice", true)
		return len(cleared) == 1 && ids[cleared[0].ID]
	})
	t.Logf("killed %d times, attempts %v", kills, alice.attempts())
}

// TestDeadDialogOutlivesRestart: a refresh in a dialog that was declared dead is
// refused by the next process as well.
func TestDeadDialogOutlivesRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	settings := env{"REWATCH_STATE": "file:" + s.file("state.db"), "REWATCH_STATE_SYNC": "0s", "REWATCH_NOTIFY_TIMEOUT": "1s"}
	r := s.startRewatch(settings)
	phone, d := established(c, n, "alice", "bob")
	c.silence("NOTIFY", "alice")
	_, hop := d.hop()
	n.send("udp", hop, n.build(d, d.next(), "active;expires=3599"))
	eventually(t, patience, "the failure is counted", func() bool { return r.metric("rewatch_notify_total", `result="failed"`) == 1 })
	r.kept()
	r.kill()
	r = s.startRewatch(settings)
	_ = phone
	if resp := n.do("udp", hop, n.build(d, d.next(), "active;expires=3599"), patience); resp == nil || resp.status != 481 {
		t.Errorf("a NOTIFY in the dead dialog: %v, want 481", resp)
	}
}

// A redis is a redis-server of a site.
type redis struct {
	*process
	s *site
}

// startRedis starts a Redis that keeps nothing over its end.
func (s *site) startRedis() *redis {
	s.t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		s.t.Skip("redis-server is missing; docker/lab/install.sh installs it")
	}
	r := &redis{s: s}
	r.process = s.start("redis", nil, "redis-server", "--bind", s.ip(61), "--port", "6379",
		"--save", "", "--appendonly", "no", "--dir", s.dir)
	eventually(s.t, patience, "Redis answers", func() bool { return dialable(s.ip(61) + ":6379") })
	return r
}

func (r *redis) url() string { return "redis://" + r.s.ip(61) + ":6379" }

// knows tells whether the state of a user is kept.
func (r *redis) knows(aor string) bool {
	out, err := exec.Command("redis-cli", "-h", r.s.ip(61), "exists", "rewatch:user:{"+aor+"}").Output()
	return err == nil && strings.TrimSpace(string(out)) == "1"
}

// A pod is one of several replicas: a server with its rewatch, and a core of its
// own, so that it is known which of them has sent what.
type pod struct {
	*site
	core  *core
	r     *rewatch
	alice *phone
}

func startPods(t *testing.T, n int, settings env) []*pod {
	t.Helper()
	var pods []*pod
	for range n {
		p := &pod{site: newSite(t)}
		p.startPresence()
		p.core = p.startCore()
		p.r = p.startRewatch(settings)
		p.alice = p.startPhone("alice", 50)
		p.alice.register(600)
		p.alice.subscribed("bob")
		pods = append(pods, p)
	}
	return pods
}

// fail lets a NOTIFY to alice fail in this pod, and lets it come back upon the
// MESSAGE if one is to come.
func (p *pod) fail(message bool) {
	p.t.Helper()
	p.core.fault("alice", "480")
	before := len(p.alice.attempts())
	p.publish("bob", fmt.Sprint("note ", before))
	if !message {
		return
	}
	eventually(p.t, patience, "a MESSAGE", func() bool { return len(p.alice.attempts()) > before })
	p.core.heal("alice")
	p.alice.subscribed("bob")
	eventually(p.t, patient, "the recovery is over", func() bool { return p.r.metric("rewatch_recoveries_total", `result="recovered"`) > 0 })
}

// TestReplicas: a threshold of 3 that is reached by failures at three different
// replicas: 3 MESSAGEs, one de-REGISTER, one alarm. Between the second and the
// third the Redis is killed and comes back empty.
func TestReplicas(t *testing.T) {
	t.Parallel()
	shared := newSite(t)
	store := shared.startRedis()
	hook := shared.startWebhook()
	pods := startPods(t, 3, env{
		"REWATCH_STATE": store.url(), "REWATCH_THRESHOLD": "3", "REWATCH_ALARM_WEBHOOK": hook.url,
	})
	pods[0].fail(true)
	pods[1].fail(true)
	away := func(want float64) func() bool {
		return func() bool {
			sum := 0.0
			for _, p := range pods {
				sum += p.r.metric("rewatch_alarms_active", `name="store-unavailable"`)
			}
			return sum == want
		}
	}
	store.kill()
	eventually(t, patience, "every replica tells that the store is away", away(3))
	pods[0].publish("bob", "the server is served all the same")
	store = shared.startRedis()
	eventually(t, patient, "every replica has the store again", away(0))
	eventually(t, patient, "what they know is written again", func() bool { return store.knows("sip:alice@ims.example") })

	pods[2].fail(true)
	for i, p := range pods {
		if got := p.alice.attempts(); len(got) != 1 || got[0] != i+1 {
			t.Errorf("pod %d sent the attempts %v, want %d", i, got, i+1)
		}
	}
	pods[0].fail(false)
	eventually(t, patient, "alice is signed out", func() bool { return !pods[0].core.bound("alice", "") })
	eventually(t, patience, "the alarm is told", func() bool { return len(hook.of("watcher-exhausted", "alice", false)) > 0 })
	holds(t, 6*time.Second, "one de-REGISTER, one alarm, no MESSAGE", func() bool {
		sum, messages := 0, 0
		for _, p := range pods {
			sum += p.core.deregistered("alice")
			messages += len(p.alice.attempts())
		}
		return sum == 1 && messages == 3 && len(hook.of("watcher-exhausted", "alice", false)) == 1
	})

	// Alice is back by way of another pod, whose rewatch clears the alarm.
	pods[1].alice.register(0)
	pods[1].alice.register(600)
	pods[1].alice.subscribed("bob")
	pods[1].publish("bob", "welcome back")
	eventually(t, patience, "the alarm is cleared", func() bool { return len(hook.of("watcher-exhausted", "alice", true)) > 0 })
	raised, cleared := hook.of("watcher-exhausted", "alice", false)[0], hook.of("watcher-exhausted", "alice", true)[0]
	if raised.ID != cleared.ID {
		t.Errorf("raised with id %s, cleared with %s", raised.ID, cleared.ID)
	}
	eventually(t, patience, "no replica has it raised", func() bool {
		sum := 0.0
		for _, p := range pods {
			sum += p.r.metric("rewatch_alarms_active", `name="watcher-exhausted"`)
		}
		return sum == 0
	})
	if log := pods[1].r.output(); !strings.Contains(log, `"state":"cleared"`) {
		t.Error("it was not the second replica that cleared it")
	}
}
