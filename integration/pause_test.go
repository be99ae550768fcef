//go:build integration

package integration

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stopped has rewatch stand still for longer than its deadlines, as a machine that is
// moved does, while what comes in waits in its sockets.
func (r *rewatch) stopped(meanwhile func()) {
	r.signal(syscall.SIGSTOP)
	defer r.signal(syscall.SIGCONT)
	meanwhile()
	time.Sleep(3 * time.Second)
}

// TestPausedNotify: answers that came while rewatch stood still came in time, over UDP and
// over TCP.
func TestPausedNotify(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			const many = 20
			s := newSite(t)
			n := s.startNotifier()
			c := s.startSCSCF()
			r := s.startRewatch(env{"REWATCH_NOTIFY_TIMEOUT": "2s", "REWATCH_CORE": "sip:" + s.ip(20) + ":5060;transport=" + transport})
			arrived := make(chan *message, 2*many)
			var waiting sync.WaitGroup
			for i := range many {
				user := fmt.Sprint("alice", i)
				w, resp := c.subscribeOver(transport, wish{user: user, buddy: "bob"})
				if resp.status != 200 {
					t.Fatal(resp)
				}
				c.script("NOTIFY", user, func(m *message) {
					if !m.again {
						arrived <- m
					}
				})
				d := n.dialog(w.callID)
				waiting.Go(func() {
					if m := n.notify(d, patience); m == nil || m.status != 200 {
						t.Errorf("%s: the server got %v, want 200", user, m)
					}
				})
			}
			notifies := make([]*message, 0, many)
			for range many {
				notifies = append(notifies, <-arrived)
			}
			r.stopped(func() {
				for _, m := range notifies {
					c.reply(m, 200, "OK")
				}
			})
			waiting.Wait()
			if got := r.metric("rewatch_notify_total", `result="failed"`); got != 0 {
				t.Errorf("%v NOTIFYs failed", got)
			}
		})
	}
}

// TestPausedRecovery: who subscribed again, or answered the MESSAGE, while rewatch stood
// still did so in time, and is not given up.
func TestPausedRecovery(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"answered", "unanswered"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			n := s.startNotifier()
			c := s.startSCSCF()
			r := s.startRewatch(env{"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "2s"})
			told := make(chan *message, 8)
			c.script("MESSAGE", "alice", func(m *message) {
				if what == "answered" {
					c.reply(m, 200, "OK")
				}
				if !m.again {
					told <- m
				}
			})
			_, d := established(c, n, "alice", "bob")
			established(c, n, "carol", "bob") // gets through, which proves the path
			c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
			if m := n.notify(d, patience); m == nil || m.status != 481 {
				t.Fatalf("the server got %v, want 481", m)
			}
			first := <-told
			c.script("NOTIFY", "alice", nil)
			back := make(chan *message, 1)
			r.stopped(func() {
				if what == "unanswered" {
					c.reply(first, 200, "OK")
				}
				go func() {
					_, resp := c.subscribe(wish{user: "alice", buddy: "bob"})
					back <- resp
				}()
			})
			if resp := <-back; resp.status != 200 {
				t.Fatal(resp)
			}
			eventually(t, patience, "alice is not given up", func() bool {
				sent, phase := r.strikes("alice")
				return sent <= 1 && phase != "waiting" && phase != "notifying"
			})
			if got := r.metric("rewatch_recoveries_total", `result="exhausted"`); got != 0 {
				t.Error("she is given up")
			}
			if m := c.find(0, func(m *message) bool { return m.method == "REGISTER" && strings.Contains(m.get("to"), "alice") }); m != nil {
				t.Errorf("she is signed out:\n%s", m.raw)
			}
		})
	}
}

// TestPausedRedelivery: rewatch, after it stood still for longer than REWATCH_REDELIVER, tries what
// it keeps before it gives that up.
func TestPausedRedelivery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n, c := s.startNotifier(), s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_REDELIVER": "5s"})
	h := c.handset(n, "alice")
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	h.misses(n, 1)
	h.back()
	r.stopped(func() { time.Sleep(3 * time.Second) })
	eventually(t, patience, "it ends", func() bool { return r.metric("rewatch_redeliver_kept") == 0 })
	if seen := h.saw(); seen[len(seen)-1] != 2 || r.metric("rewatch_redelivered_total", `result="delivered"`) != 1 {
		t.Errorf("the phone saw %v", seen)
	}
}
