//go:build integration

package integration

import (
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// scripted starts a site with scripted peers and rewatch between them.
func scripted(t *testing.T, extra env) (*site, *notifier, *scscf, *rewatch) {
	t.Helper()
	s := newSite(t)
	n, c := s.startNotifier(), s.startSCSCF()
	if extra["REWATCH_RESUBSCRIBE_TIMEOUT"] == "" {
		with := env{"REWATCH_RESUBSCRIBE_TIMEOUT": "60s"}
		maps.Copy(with, extra)
		extra = with
	}
	return s, n, c, s.startRewatch(extra)
}

// TestRestart: rewatch was restarted and knows nothing of a dialog; its NOTIFY
// still gives all that is needed for the MESSAGE.
func TestRestart(t *testing.T) {
	t.Parallel()
	s, n, c, r := scripted(t, nil)
	_, d := established(c, n, "alice", "bob")
	if resp := n.notify(d, patience); resp == nil || resp.status != 200 {
		t.Fatalf("NOTIFY: %v", resp)
	}
	r.stop()
	s.startRewatch(nil)
	if resp := n.notify(d, patience); resp == nil || resp.status != 200 {
		t.Fatalf("NOTIFY after the restart: %v", resp)
	}
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	if resp := n.notify(d, patience); resp == nil || resp.status != 481 {
		t.Fatalf("the server got %v, want 481", resp)
	}
	m := c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	if want := lost("bob", d.callID, "480 Temporarily Unavailable", 1, 3); !sameBody(m.body, want) {
		t.Errorf("MESSAGE\n%s\nwant\n%s", m.body, want)
	}
}

// TestRestartFailure is TestRestart with nothing known but the failing NOTIFY.
func TestRestartFailure(t *testing.T) {
	t.Parallel()
	s, n, c, r := scripted(t, nil)
	_, d := established(c, n, "alice", "bob")
	r.stop()
	s.startRewatch(nil)
	c.silence("NOTIFY", "alice")
	if resp := n.notify(d, patience); resp == nil || resp.status != 481 {
		t.Fatalf("the server got %v, want 481", resp)
	}
	m := c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	if want := lost("bob", d.callID, "408 Request Timeout", 1, 3); !sameBody(m.body, want) {
		t.Errorf("MESSAGE\n%s\nwant\n%s", m.body, want)
	}
}

// TestAnswer: what the server gets on a failure is the operator's choice; what
// the watcher gets is not.
func TestAnswer(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"passthrough", "silent"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			_, n, c, _ := scripted(t, env{"REWATCH_ANSWER": answer})
			_, d := established(c, n, "alice", "bob")
			c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
			resp := n.notify(d, 4*time.Second)
			if answer == "passthrough" && (resp == nil || resp.status != 480) || answer == "silent" && resp != nil {
				t.Errorf("the server got %v", resp)
			}
			c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))

			// Nothing at all from the core: there is nothing to pass through.
			_, d = established(c, n, "carol", "bob")
			c.silence("NOTIFY", "carol")
			if resp := n.notify(d, 5*time.Second); resp != nil {
				t.Errorf("the server got %v, want nothing", resp)
			}
			c.expect(patience, "MESSAGE", to("MESSAGE", "carol"))
			holds(t, time.Second, "one MESSAGE each", func() bool {
				return c.count(func(m *message) bool { return m.method == "MESSAGE" }) == 2
			})
		})
	}
}

// TestCountRecovery: with REWATCH_COUNT=recovery a proven recovery forgives what
// was before; with registration it does not.
func TestCountRecovery(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"recovery", "registration"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			_, n, c, r := scripted(t, env{"REWATCH_COUNT": mode, "REWATCH_THRESHOLD": "2"})
			_, d := established(c, n, "alice", "bob")
			for i := 1; i <= 2; i++ {
				c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
				n.notify(d, patience)
				m := c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
				want := "Attempt: 1 of 2"
				if mode == "registration" {
					want = fmt.Sprintf("Attempt: %d of 2", i)
				}
				if !strings.Contains(m.body, want) {
					t.Errorf("MESSAGE %d does not say %q:\n%s", i, want, m.body)
				}
				c.script("NOTIFY", "alice", nil)
				w, _ := c.subscribe(wish{user: "alice", buddy: "bob"})
				d = n.dialog(w.callID)
				if resp := n.notify(d, patience); resp == nil || resp.status != 200 {
					t.Fatalf("NOTIFY: %v", resp)
				}
				eventually(t, patience, "recovered", func() bool {
					return r.metric("rewatch_recoveries_total", `result="recovered"`) == float64(i)
				})
				// A refresh of the registration resets nothing.
				c.register("alice", 3600)
			}
			c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
			n.notify(d, patience)
			if mode == "recovery" {
				c.expect(patience, "third MESSAGE", to("MESSAGE", "alice"))
				return
			}
			c.expect(patience, "de-REGISTER", to("REGISTER", "alice"))
			if got := c.count(to("MESSAGE", "alice")); got != 2 {
				t.Errorf("%d MESSAGEs, want 2", got)
			}
		})
	}
}

// TestMessageForm: content type and template are the operator's.
func TestMessageForm(t *testing.T) {
	t.Parallel()
	_, n, c, _ := scripted(t, env{
		"REWATCH_MESSAGE_TYPE": "application/vnd.example+text", "REWATCH_MESSAGE_TEMPLATE": "again, {{.AOR}}: {{(index .Broken 0).Resource}}",
		"REWATCH_IDENTITY": "sip:presence@ims.example",
	})
	_, d := established(c, n, "alice", "bob")
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(d, patience)
	m := c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	if m.get("content-type") != "application/vnd.example+text" || m.body != "again, sip:alice@ims.example: sip:bob@ims.example" {
		t.Errorf("MESSAGE of type %q:\n%s", m.get("content-type"), m.body)
	}
	if uriOf(m.get("from")) != "sip:presence@ims.example" || uriOf(m.get("p-asserted-identity")) != "sip:presence@ims.example" {
		t.Errorf("From: %s, P-Asserted-Identity: %s", m.get("from"), m.get("p-asserted-identity"))
	}
	if m.uri != "sip:alice@ims.example" || uriOf(m.get("to")) != "sip:alice@ims.example" {
		t.Errorf("Request-URI %s, To: %s", m.uri, m.get("to"))
	}
	if hostport(m.get("route")) != c.addr {
		t.Errorf("Route: %s, want the S-CSCF of the third-party REGISTER", m.get("route"))
	}
}

// TestIdentity: the watcher is whom the core vouches for, not whom From names.
func TestIdentity(t *testing.T) {
	t.Parallel()
	s, n, c, _ := scripted(t, nil)
	c.register("alice", 3600)
	w, resp := c.peer.subscribe("udp", s.coreSide(), wish{user: "anonymous", buddy: "bob", lines: []string{
		"Record-Route: <sip:" + c.addr + ";lr>", "P-Asserted-Identity: \"Alice\" <sip:alice@IMS.example>, <tel:+46701>",
	}})
	if resp.status != 200 {
		t.Fatalf("SUBSCRIBE: %v", resp)
	}
	c.answer("NOTIFY", "anonymous", 480, "Temporarily Unavailable")
	n.notify(n.dialog(w.callID), patience)
	c.expect(patience, "MESSAGE to alice", to("MESSAGE", "alice"))
	holds(t, time.Second, "no other MESSAGE", func() bool {
		return c.count(func(m *message) bool { return m.method == "MESSAGE" }) == 1
	})
}

// TestEvents: only the chosen packages are recovered.
func TestEvents(t *testing.T) {
	t.Parallel()
	_, n, c, _ := scripted(t, env{"REWATCH_EVENTS": "presence,dialog"})
	c.register("alice", 3600)
	for event, want := range map[string]int{"message-summary": 480, "dialog;id=7": 481} {
		w, _ := c.subscribe(wish{user: "alice", buddy: "bob", event: event})
		c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
		if resp := n.notify(n.dialog(w.callID), patience); resp == nil || resp.status != want {
			t.Errorf("%s: the server got %v, want %d", event, resp, want)
		}
	}
	m := c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	if !strings.Contains(m.body, "Event: dialog;id=7") || strings.Contains(m.body, "message-summary") {
		t.Errorf("MESSAGE:\n%s", m.body)
	}
}

// TestPointless: who answers 489 does not know the package; asking it to
// subscribe again is pointless.
func TestPointless(t *testing.T) {
	t.Parallel()
	_, n, c, _ := scripted(t, nil)
	_, d := established(c, n, "alice", "bob")
	c.answer("NOTIFY", "alice", 489, "Bad Event")
	n.notify(d, patience)
	holds(t, 2*time.Second, "no MESSAGE", func() bool { return c.count(to("MESSAGE", "alice")) == 0 })
}

// TestRoutingFault: 482, 483 and 502 tell of a broken path, and raise an alarm.
func TestRoutingFault(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	hook := s.startWebhook()
	n, c := s.startNotifier(), s.startSCSCF()
	s.startRewatch(env{"REWATCH_ALARM_WEBHOOK": hook.url})
	for i, status := range []int{483, 482, 502} {
		_, d := established(c, n, fmt.Sprint("user", i), "bob")
		c.answer("NOTIFY", fmt.Sprint("user", i), status, "Broken Path")
		if resp := n.notify(d, patience); resp == nil || resp.status != 481 {
			t.Errorf("%d: the server got %v, want 481", status, resp)
		}
	}
	eventually(t, patience, "one alarm", func() bool {
		hook.mu.Lock()
		defer hook.mu.Unlock()
		raised := 0
		for _, p := range hook.posts {
			if p.Name == "routing-fault" {
				raised++
			}
		}
		return raised >= 1
	})
}

// TestDryRun: everything but sending.
func TestDryRun(t *testing.T) {
	t.Parallel()
	_, n, c, r := scripted(t, env{
		"REWATCH_DRY_RUN": "true", "REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s",
		"REWATCH_ON_THRESHOLD": "ban", "REWATCH_MAX_EXPIRES": "60",
	})
	_, d := established(c, n, "alice", "bob")
	m := n.expect(patience, "SUBSCRIBE", func(m *message) bool { return m.method == "SUBSCRIBE" })
	if got := m.get("expires"); got == "" || got == "60" {
		t.Errorf("the server was asked for %q", got)
	}
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	if resp := n.notify(d, patience); resp == nil || resp.status != 480 {
		t.Errorf("the server got %v, not the real response", resp)
	}
	for _, action := range []string{"expires", "answer", "message", "deregister", "ban", "alarm"} {
		eventually(t, patience, "what was left out is counted: "+action, func() bool {
			return r.metric("rewatch_dry_run_total", `action="`+action+`"`) >= 1
		})
	}
	if resp := c.register("alice", 3600); resp.status != 200 {
		t.Errorf("alice's REGISTER got %v: alice is banned", resp)
	}
	holds(t, 3*time.Second, "nothing is sent", func() bool {
		return c.count(to("MESSAGE", "alice")) == 0 && c.count(to("REGISTER", "alice")) == 0
	})
}

// TestEmergency: an emergency registration is never ended.
func TestEmergency(t *testing.T) {
	t.Parallel()
	s, n, c, _ := scripted(t, env{"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s"})
	c.register("alice", 3600)
	w, _ := c.subscribe(wish{user: "alice", buddy: "bob", contact: "sip:alice@" + s.ip(50) + ":5060;sos"})
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(n.dialog(w.callID), patience)
	c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	holds(t, 4*time.Second, "no de-REGISTER", func() bool { return c.count(to("REGISTER", "alice")) == 0 })
}

// TestUnsubscribeEndsRecovery: who does not want the subscription any more, or
// signs out, gets no further MESSAGE.
func TestUnsubscribeEndsRecovery(t *testing.T) {
	t.Parallel()
	_, n, c, r := scripted(t, env{"REWATCH_RESUBSCRIBE_TIMEOUT": "2s", "REWATCH_THRESHOLD": "5"})
	_, d := established(c, n, "alice", "bob")
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(d, patience)
	c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	if resp := c.register("alice", 0); resp.status != 200 {
		t.Errorf("end of the registration: %v", resp)
	}
	holds(t, 5*time.Second, "no further MESSAGE", func() bool { return c.count(to("MESSAGE", "alice")) == 1 })
	if got := r.metric("rewatch_recoveries_total", `result="abandoned"`); got != 1 {
		t.Errorf(`rewatch_recoveries_total{result="abandoned"} is %v, want 1`, got)
	}
}

// TestLateSuccess: a 200 that comes after the MESSAGE has left ends the recovery.
func TestLateSuccess(t *testing.T) {
	t.Parallel()
	_, n, c, _ := scripted(t, env{"REWATCH_RESUBSCRIBE_TIMEOUT": "2s", "REWATCH_THRESHOLD": "5", "REWATCH_ANSWER": "passthrough"})
	_, d := established(c, n, "alice", "bob")
	hold := make(chan *message, 4)
	c.script("NOTIFY", "alice", func(m *message) { hold <- m })
	done := make(chan *message, 1)
	go func() { done <- n.notify(d, 8*time.Second) }()
	m := <-hold
	c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	c.reply(m, 200, "OK")
	if resp := <-done; resp == nil || resp.status != 200 {
		t.Errorf("the server got %v, want the late 200", resp)
	}
	holds(t, 4*time.Second, "no further MESSAGE", func() bool { return c.count(to("MESSAGE", "alice")) == 1 })
}

// TestOneInFlight: while a MESSAGE has no final response there is no second one.
func TestOneInFlight(t *testing.T) {
	t.Parallel()
	_, n, c, _ := scripted(t, env{"REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_THRESHOLD": "5"})
	_, d := established(c, n, "alice", "bob")
	w2, _ := c.subscribe(wish{user: "alice", buddy: "carol"})
	var open atomic.Int32
	hold := make(chan *message, 8)
	c.script("MESSAGE", "alice", func(m *message) { open.Add(1); hold <- m })
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(d, patience)
	first := <-hold
	n.notify(n.dialog(w2.callID), patience)
	holds(t, 4*time.Second, "one MESSAGE in flight", func() bool { return open.Load() == 1 })
	c.reply(first, 200, "OK")
	second := <-hold
	if !strings.Contains(second.body, "Resource: sip:carol@ims.example") {
		t.Errorf("the next MESSAGE does not name the second subscription:\n%s", second.body)
	}
	c.reply(second, 200, "OK")
}

// TestRecoveriesAPI: the read API has the recovery with its trace.
func TestRecoveriesAPI(t *testing.T) {
	t.Parallel()
	_, n, c, r := scripted(t, nil)
	_, d := established(c, n, "alice", "bob")
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(d, patience)
	c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	for _, path := range []string{"watchers", "watchers/sip:alice@ims.example", "subscriptions", "recoveries", "alarms"} {
		var v any
		r.api(path, &v)
		if text := fmt.Sprint(v); path != "alarms" && !strings.Contains(text, "alice@ims.example") {
			t.Errorf("/api/v1/%s does not name alice: %s", path, text)
		}
	}
	if status, _ := r.get("/"); status != 200 {
		t.Errorf("the console: %d", status)
	}
}
