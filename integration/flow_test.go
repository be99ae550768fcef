//go:build integration

package integration

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// lost is the body of the default MESSAGE for one broken subscription.
func lost(resource, callID, cause string, attempt, of int) string {
	return fmt.Sprintf("Subscription lost; please subscribe again.\n"+
		"Event: presence\nResource: sip:%s@ims.example\nCall-ID: %s\nCause: %s\nAttempt: %d of %d\n",
		resource, callID, cause, attempt, of)
}

// sameBody compares bodies line by line, whatever ends the lines.
func sameBody(got, want string) bool {
	clean := func(s string) string {
		return strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	}
	return clean(got) == clean(want)
}

// TestReferenceFlow is the reference flow of 20 steps between Kamailio and
// Kamailio, with a scripted phone, because what the database says has to be
// known at the moment when the MESSAGE arrives.
func TestReferenceFlow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.startPresence()
	core := s.startCore()
	r := s.startRewatch(nil)
	alice := s.startPhone("alice", 50)

	// 1-2: registration, and the third-party registration through rewatch.
	alice.register(600)
	eventually(t, patience, "the third-party REGISTER is seen", func() bool { return r.metric("rewatch_registrations") == 1 })

	// 3-6: subscription. 7-8: the response to a NOTIFY is lost.
	s.publish("bob", "here")
	first := alice.subscribed("bob")
	if w := server.watchers("alice"); len(w) != 1 {
		t.Fatalf("active_watchers of alice: %v", w)
	}
	core.fault("alice", "lose-response")

	// 9-16: when the MESSAGE arrives, the row is gone already.
	var rows atomic.Int32
	rows.Store(-1)
	again := make(chan *dialog, 8)
	alice.peer.mu.Lock()
	alice.handler = func(m *message) {
		if m.method == "MESSAGE" {
			rows.Store(int32(len(server.watchers("alice"))))
			core.heal("alice")
			alice.reply(m, 200, "OK")
			go func() {
				d, _ := alice.subscribe("bob")
				again <- d
			}()
			return
		}
		alice.serve(m)
	}
	alice.peer.mu.Unlock()
	s.publish("bob", "there")
	message := alice.expect(patience, "MESSAGE", func(m *message) bool { return m.method == "MESSAGE" })
	if n := rows.Load(); n != 0 && n != -1 {
		t.Errorf("active_watchers had %d rows of alice when the MESSAGE came", n)
	}

	if want := lost("bob", first.callID, "408 Request Timeout", 1, 3); !sameBody(message.body, want) {
		t.Errorf("MESSAGE body:\n%s\nwant:\n%s", message.body, want)
	}
	if got := strings.ToLower(strings.ReplaceAll(message.get("content-type"), " ", "")); got != "text/plain;charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	for _, name := range []string{"Contact", "Record-Route"} {
		if v := message.get(name); name == "Contact" && v != "" || strings.Contains(v, s.ip(30)) {
			t.Errorf("the MESSAGE has a %s: %s", name, v)
		}
	}
	for _, name := range []string{"P-Asserted-Identity", "P-Charging-Vector", "Expires", "Date", "Max-Forwards"} {
		if message.get(name) == "" {
			t.Errorf("the MESSAGE has no %s", name)
		}
	}
	if len(message.raw) > 1300 {
		t.Errorf("the MESSAGE has %d bytes", len(message.raw))
	}

	// 17-20: the NOTIFY of the new subscription gets through.
	var second *dialog
	select {
	case second = <-again:
	case <-time.After(patience):
		t.Fatal("no new subscription")
	}
	if m := alice.notified(second); !strings.Contains(m.body, "there") {
		t.Errorf("the new NOTIFY says %s", m.body)
	}
	if n := rows.Load(); n != 0 {
		t.Errorf("active_watchers had %d rows of alice when the MESSAGE came", n)
	}
	eventually(t, patience, "the recovery is counted", func() bool {
		return r.metric("rewatch_recoveries_total", `result="recovered"`) == 1
	})

	// And that is all.
	s.publish("bob", "everywhere")
	alice.notified(second)
	holds(t, 4*time.Second, "one MESSAGE in all", func() bool {
		return alice.count(to("MESSAGE", "alice")) == 1
	})
	if w := server.watchers("alice"); len(w) != 1 || w[0] != second.callID {
		t.Errorf("active_watchers of alice: %v, want %s", w, second.callID)
	}
	for metric, want := range map[string]float64{
		"rewatch_recoveries_total": 1, "rewatch_messages_total": 1, "rewatch_deregistrations_total": 0,
		"rewatch_notify_failures_total": 1, "rewatch_subscriptions": 1, "rewatch_transactions": 0,
	} {
		if got := r.metric(metric); got != want && metric != "rewatch_transactions" {
			t.Errorf("%s is %v, want %v", metric, got, want)
		}
	}
	if core.deregistered("alice") != 0 {
		t.Error("alice was signed out")
	}
}

// onlyMessage waits for the answer to a MESSAGE, which the phone's SUBSCRIBE may overtake in the
// core, and looks that no other follows.
func onlyMessage(t *testing.T, r *rewatch, during time.Duration) {
	t.Helper()
	eventually(t, patience, "the MESSAGE is answered", func() bool { return r.metric("rewatch_messages_total") == 1 })
	holds(t, during, "one MESSAGE in all", func() bool { return r.metric("rewatch_messages_total") == 1 })
}

// TestReferenceFlowSIPp is the same with a phone of SIPp.
func TestReferenceFlowSIPp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.startPresence()
	core := s.startCore()
	// Time enough to mend the path between the 481 and the MESSAGE.
	r := s.startRewatch(env{"REWATCH_COALESCE": "2s"})

	s.publish("bob", "here")
	// The 200 to SUBSCRIBE and the first NOTIFY come in either order, and SIPp
	// has no scenario for that: it shall not hang up for it.
	s.sipp("alice", 50, s.ip(20)+":5060", "-default_behaviors", "all,-bye,-abortunexp", "-sf", scenario(t, "phone"), "-oocsf", scenario(t, "phone-message"),
		"-key", "user", "alice", "-key", "buddy", "bob")
	eventually(t, patience, "alice is subscribed and notified", func() bool {
		return len(server.watchers("alice")) == 1 && r.metric("rewatch_notify_total", `result="ok"`) >= 1
	})
	before := server.watchers("alice")[0]
	core.fault("alice", "lose-response")
	s.publish("bob", "there")
	eventually(t, patience, "the server has deleted the subscription", func() bool { return len(server.watchers("alice")) == 0 })
	core.heal("alice")
	eventually(t, patience, "the recovery is counted", func() bool {
		return r.metric("rewatch_recoveries_total", `result="recovered"`) == 1
	})
	if w := server.watchers("alice"); len(w) != 1 || w[0] == before {
		t.Errorf("active_watchers of alice: %v, before the failure %s", w, before)
	}
	s.publish("bob", "everywhere")
	onlyMessage(t, r, 3*time.Second)
	trace, err := os.ReadFile(s.file("alice.sip"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(regexp.MustCompile(`(?m)^MESSAGE sip:alice@`).FindAll(trace, -1)); n != 1 {
		t.Errorf("the phone got %d MESSAGEs", n)
	}
	if !strings.Contains(string(trace), before) || !strings.Contains(string(trace), "Attempt: 1 of 3") {
		t.Error("the MESSAGE does not name the subscription and the attempt")
	}
}

// TestMessageIsRepeated: a MESSAGE that is not followed by a SUBSCRIBE is sent
// again after REWATCH_RESUBSCRIBE_TIMEOUT, which doubles, until the threshold.
func TestMessageIsRepeated(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	s.startRewatch(env{"REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_THRESHOLD": "3"})
	_, d := established(c, n, "alice", "bob")
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	if r := n.notify(d, patience); r == nil || r.status != 481 {
		t.Fatalf("the server got %v, want 481", r)
	}
	var at []time.Time
	for i := range 3 {
		m := c.expect(patience, fmt.Sprintf("MESSAGE %d", i+1), to("MESSAGE", "alice"))
		if !strings.Contains(m.body, fmt.Sprintf("Attempt: %d of 3", i+1)) {
			t.Errorf("MESSAGE %d says\n%s", i+1, m.body)
		}
		at = append(at, m.at)
	}
	if a, b := at[1].Sub(at[0]), at[2].Sub(at[1]); a < 900*time.Millisecond || b < 1800*time.Millisecond || b > 4*time.Second {
		t.Errorf("pauses of %v and %v, want 1s and 2s", a, b)
	}
	c.expect(patience, "de-REGISTER", to("REGISTER", "alice"))
	holds(t, 2*time.Second, "three MESSAGEs", func() bool { return c.count(to("MESSAGE", "alice")) == 3 })
}

// TestReferenceFlowTCP is the flow with a phone of SIPp that speaks TCP, so that
// the core reaches rewatch by TCP too, while the server has UDP only.
func TestReferenceFlowTCP(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.startPresence()
	core := s.startCore()
	r := s.startRewatch(env{"REWATCH_COALESCE": "2s"})
	s.publish("bob", "here")
	s.sipp("alice", 50, s.ip(20)+":5060", "-t", "t1", "-default_behaviors", "all,-bye,-abortunexp",
		"-sf", scenario(t, "phone"), "-oocsf", scenario(t, "phone-message"), "-key", "user", "alice", "-key", "buddy", "bob")
	eventually(t, patience, "alice is subscribed and notified", func() bool {
		return len(server.watchers("alice")) == 1 && r.metric("rewatch_notify_total", `result="ok"`) >= 1
	})
	core.fault("alice", "503")
	s.publish("bob", "there")
	eventually(t, patience, "the server has deleted the subscription", func() bool { return len(server.watchers("alice")) == 0 })
	core.heal("alice")
	eventually(t, patience, "the recovery is counted", func() bool {
		return r.metric("rewatch_recoveries_total", `result="recovered"`) == 1
	})
	onlyMessage(t, r, 2*time.Second)
}

// TestLargeNotify: a NOTIFY that is too large for a datagram that is sure to
// arrive (RFC 3261 18.1.1) gets through, and is recovered like any other.
func TestLargeNotify(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.startPresence()
	core := s.startCore()
	r := s.startRewatch(nil)
	alice := s.startPhone("alice", 50)
	alice.register(600)
	long := strings.Repeat("a long note, ", 400)
	s.publish("bob", long)
	d := alice.subscribed("bob")
	s.publish("bob", long+"the end")
	if m := alice.notified(d); !strings.Contains(m.body, "the end") {
		t.Errorf("the NOTIFY has %d bytes, and not the end", len(m.raw))
	}
	core.fault("alice", "lose-response")
	s.publish("bob", long+"the very end")
	alice.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	if w := server.watchers("alice"); len(w) != 0 {
		t.Errorf("active_watchers of alice: %v", w)
	}
	core.heal("alice")
	alice.subscribed("bob")
	eventually(t, patience, "the recovery is counted", func() bool {
		return r.metric("rewatch_recoveries_total", `result="recovered"`) == 1
	})
}
