//go:build integration

package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patient is for facts that need several rounds of NOTIFY, MESSAGE, SUBSCRIBE.
const patient = 60 * time.Second

// TestThreshold: N MESSAGEs, then the user is signed out at the real core, and
// the administrator is told once; when the user is back and a NOTIFY gets
// through, the alarm is over.
func TestThreshold(t *testing.T) {
	t.Parallel()
	for _, threshold := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(threshold), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			server := s.startPresence()
			core := s.startCore()
			hook := s.startWebhook()
			manager := s.startAlertmanager()
			r := s.startRewatch(env{
				"REWATCH_THRESHOLD": fmt.Sprint(threshold), "REWATCH_NOTIFY_TIMEOUT": "1s",
				"REWATCH_ALARM_WEBHOOK": hook.url, "REWATCH_ALARM_ALERTMANAGER": manager,
			})
			alice := s.startPhone("alice", 50)
			other := s.startPhone("carol", 51)
			alice.register(600)
			other.register(600)
			alice.subscribed("bob")
			kept := other.subscribed("bob")
			core.fault("alice", "lose-response")
			alice.recoverBy("bob")
			s.publish("bob", "here")

			eventually(t, patient, "alice is signed out", func() bool { return !core.bound("alice", "") })
			messages := alice.all(to("MESSAGE", "alice"))
			for i, m := range messages {
				if want := fmt.Sprintf("Attempt: %d of %d", i+1, threshold); !strings.Contains(m.body, want) {
					t.Errorf("MESSAGE %d does not say %q:\n%s", i+1, want, m.body)
				}
			}
			eventually(t, patience, "the alarm is at the webhook", func() bool {
				return len(hook.of("watcher-exhausted", "alice", false)) > 0
			})
			eventually(t, patience, "the alarm is at Alertmanager", func() bool {
				return s.alerts(manager, "watcher-exhausted", "alice") == 1
			})
			// The core's echo, a third-party REGISTER with Expires: 0, has been
			// and gone by now. It must not have started anything.
			holds(t, 4*time.Second, "nothing more happens", func() bool {
				return alice.count(to("MESSAGE", "alice")) == threshold &&
					core.deregistered("alice") == 1 &&
					len(hook.of("watcher-exhausted", "alice", false)) == 1
			})
			if !core.bound("carol", "") || len(server.watchers("carol")) != 1 {
				t.Error("carol has suffered")
			}
			if w := server.watchers("alice"); len(w) != 0 {
				t.Errorf("the server still has subscriptions of alice: %v", w)
			}
			if got := r.metric("rewatch_recoveries_total", `result="exhausted"`); got != 1 {
				t.Errorf(`rewatch_recoveries_total{result="exhausted"} is %v`, got)
			}
			if got := r.metric("rewatch_alarms_active", `name="watcher-exhausted"`); got != 1 {
				t.Errorf("rewatch_alarms_active is %v", got)
			}

			// The path is mended, and the user signs in again.
			core.heal("alice")
			alice.register(600)
			alice.subscribed("bob")
			eventually(t, patience, "the alarm is cleared", func() bool {
				return len(hook.of("watcher-exhausted", "alice", true)) > 0
			})
			eventually(t, patience, "the alert is resolved", func() bool {
				return s.alerts(manager, "watcher-exhausted", "alice") == 0
			})
			s.publish("bob", "there")
			other.notified(kept)
			holds(t, time.Second, "raised once, cleared once", func() bool {
				return len(hook.of("watcher-exhausted", "alice", false)) == 1 &&
					len(hook.of("watcher-exhausted", "alice", true)) == 1
			})
			raised, cleared := hook.of("watcher-exhausted", "alice", false)[0], hook.of("watcher-exhausted", "alice", true)[0]
			if raised.ID == "" || raised.ID != cleared.ID {
				t.Errorf("raised with id %q, cleared with %q", raised.ID, cleared.ID)
			}
			// A new registration is a new count.
			core.fault("alice", "480")
			s.publish("bob", "away")
			eventually(t, patience, "a MESSAGE of a new count", func() bool {
				all := alice.all(to("MESSAGE", "alice"))
				return len(all) > threshold && strings.Contains(all[threshold].body, fmt.Sprintf("Attempt: 1 of %d", threshold))
			})
		})
	}
}

// TestDeregisterWithDigest: the core challenges, rewatch has credentials.
func TestDeregisterWithDigest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startPresence()
	core := s.startCore()
	s.startRewatch(env{
		"REWATCH_THRESHOLD": "1", "REWATCH_NOTIFY_TIMEOUT": "1s", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s",
		"REWATCH_AUTH_USER": "rewatch", "REWATCH_AUTH_PASSWORD": "secret",
	})
	alice := s.startPhone("alice", 50)
	alice.register(600)
	alice.subscribed("bob")
	core.habit("challenge")
	core.fault("alice", "silent")
	s.publish("bob", "here")
	eventually(t, patient, "alice is signed out", func() bool { return !core.bound("alice", "") })
}

// TestOnlyOneContact: of a user's two contacts, only the one whose subscription
// broke is signed out; with REWATCH_DEREGISTER=all, both are.
func TestOnlyOneContact(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"contact", "all"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.startPresence()
			core := s.startCore()
			s.startRewatch(env{
				"REWATCH_THRESHOLD": "1", "REWATCH_NOTIFY_TIMEOUT": "1s", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s",
				"REWATCH_DEREGISTER": mode,
			})
			mobile, desk := s.startPhone("alice", 50), s.startPhone("alice", 51)
			mobile.register(600)
			desk.register(600)
			mobile.subscribed("bob")
			core.fault("alice", "480")
			s.publish("bob", "here")
			eventually(t, patient, "the mobile is signed out", func() bool {
				return !core.bound("alice", "alice@"+mobile.addr)
			})
			if got, want := core.bound("alice", "alice@"+desk.addr), mode == "contact"; got != want {
				t.Errorf("the desk phone is registered: %v, want %v", got, want)
			}
		})
	}
}

// TestBan: a banned user's third-party REGISTER and SUBSCRIBE get 403, until the
// ban ends or is lifted.
func TestBan(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"ends", "is lifted"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			n := s.startNotifier()
			c := s.startSCSCF()
			hook := s.startWebhook()
			ban := map[string]string{"ends": "6s", "is lifted": "1h"}[end]
			r := s.startRewatch(env{
				"REWATCH_ON_THRESHOLD": "ban", "REWATCH_BAN": ban, "REWATCH_THRESHOLD": "1",
				"REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_ADMIN_TOKEN": "let-me-in", "REWATCH_ALARM_WEBHOOK": hook.url,
			})
			_, d := established(c, n, "alice", "bob")
			c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
			n.notify(d, patience)
			c.expect(patience, "de-REGISTER", to("REGISTER", "alice"))
			if resp := c.register("alice", 3600); resp.status != 403 {
				t.Errorf("third-party REGISTER of a banned user: %v, want 403", resp)
			}
			if _, resp := c.subscribe(wish{user: "alice", buddy: "bob"}); resp.status != 403 {
				t.Errorf("SUBSCRIBE of a banned user: %v, want 403", resp)
			}
			if resp := c.register("carol", 3600); resp.status != 200 {
				t.Errorf("third-party REGISTER of another user: %v", resp)
			}
			eventually(t, patience, "the alarms", func() bool {
				return len(hook.of("watcher-exhausted", "alice", false)) == 1 && len(hook.of("watcher-banned", "alice", false)) == 1
			})
			if end == "is lifted" {
				url := "http://" + s.ip(30) + ":9090/api/v1/watchers/sip:alice@ims.example/unban"
				resp, err := http.Post(url, "", nil)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusUnauthorized {
					t.Errorf("unban without a token: %s", resp.Status)
				}
				req, _ := http.NewRequest(http.MethodPost, url, nil)
				req.Header.Set("Authorization", "Bearer let-me-in")
				resp, err = http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode/100 != 2 {
					t.Errorf("unban: %s", resp.Status)
				}
			}
			c.script("NOTIFY", "alice", nil)
			eventually(t, 2*patience, "the third-party REGISTER passes again", func() bool {
				return c.register("alice", 3600).status == 200
			})
			w, resp := c.subscribe(wish{user: "alice", buddy: "bob"})
			if resp.status != 200 {
				t.Fatalf("SUBSCRIBE after the ban: %v", resp)
			}
			if resp := n.notify(n.dialog(w.callID), patience); resp == nil || resp.status != 200 {
				t.Errorf("NOTIFY after the ban: %v", resp)
			}
			eventually(t, patience, "the alarms are cleared", func() bool {
				return len(hook.of("watcher-exhausted", "alice", true)) == 1 && len(hook.of("watcher-banned", "alice", true)) == 1
			})
			if got := r.metric("rewatch_alarms_active"); got != 0 {
				t.Errorf("rewatch_alarms_active is %v", got)
			}
		})
	}
}

// TestBanSessionTerminated: the 403 to the third-party REGISTER makes a core
// whose default handling is SESSION_TERMINATED sign the user out by itself.
func TestBanSessionTerminated(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startPresence()
	core := s.startCore()
	s.startRewatch(env{
		"REWATCH_ON_THRESHOLD": "ban", "REWATCH_THRESHOLD": "1",
		"REWATCH_NOTIFY_TIMEOUT": "1s", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s",
	})
	core.habit("session-terminated")
	alice := s.startPhone("alice", 50)
	alice.register(600)
	alice.subscribed("bob")
	core.fault("alice", "silent")
	s.publish("bob", "here")
	eventually(t, patient, "alice is signed out", func() bool { return !core.bound("alice", "") })
	alice.register(600)
	eventually(t, patience, "and cannot stay", func() bool {
		return strings.Contains(core.output(), "third-party REGISTER of sip:alice@ims.example: 403") && !core.bound("alice", "")
	})
}

// TestUnsubscribe: only the subscriptions end; nobody is signed out.
func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.startPresence()
	core := s.startCore()
	hook := s.startWebhook()
	s.startRewatch(env{
		"REWATCH_ON_THRESHOLD": "unsubscribe", "REWATCH_THRESHOLD": "1", "REWATCH_NOTIFY_TIMEOUT": "1s",
		"REWATCH_ALARM_WEBHOOK": hook.url,
	})
	alice := s.startPhone("alice", 50)
	alice.register(600)
	alice.subscribed("bob")
	core.fault("alice", "lose-response")
	alice.recoverBy("bob")
	s.publish("bob", "here")
	eventually(t, patient, "the alarm", func() bool { return len(hook.of("watcher-exhausted", "alice", false)) == 1 })
	holds(t, 3*time.Second, "alice stays registered, one MESSAGE", func() bool {
		return core.bound("alice", "alice@"+alice.addr) && core.deregistered("alice") == 0 &&
			alice.count(to("MESSAGE", "alice")) == 1
	})
	if w := server.watchers("alice"); len(w) != 0 {
		t.Errorf("the server still has subscriptions of alice: %v", w)
	}
	core.heal("alice")
	alice.recoverBy("")
	alice.subscribed("bob")
	eventually(t, patience, "the alarm is cleared", func() bool { return len(hook.of("watcher-exhausted", "alice", true)) == 1 })
}

// TestEcho: what the core sends back after our de-REGISTER starts nothing.
func TestEcho(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s"})
	_, d := established(c, n, "alice", "bob")
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(d, patience)
	m := c.expect(patience, "de-REGISTER", to("REGISTER", "alice"))
	if m.get("expires") != "0" && param(m.get("contact"), "expires") != "0" {
		t.Errorf("the de-REGISTER has Expires: %s and Contact: %s", m.get("expires"), m.get("contact"))
	}
	if userOf(m.get("from")) == "alice" {
		t.Errorf("the de-REGISTER is From: %s", m.get("from"))
	}
	if resp := c.register("alice", 0); resp.status != 200 {
		t.Errorf("the echo got %v", resp)
	}
	n.expect(patience, "the echo at the server", func(m *message) bool {
		return m.method == "REGISTER" && m.get("expires") == "0" && strings.Contains(m.get("contact"), c.addr)
	})
	holds(t, 3*time.Second, "nothing more happens", func() bool {
		return c.count(to("REGISTER", "alice")) == 1 && c.count(to("MESSAGE", "alice")) == 1
	})
	eventually(t, patience, "no registration is left", func() bool { return r.metric("rewatch_registrations") == 0 })
}

// TestForeignUser: a user whose registration was not seen, and whose domain is
// not served, is never signed out.
func TestForeignUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	hook := s.startWebhook()
	s.startRewatch(env{"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_ALARM_WEBHOOK": hook.url})
	w, resp := c.subscribe(wish{user: "list", buddy: "bob"})
	if resp.status != 200 {
		t.Fatalf("SUBSCRIBE: %v", resp)
	}
	c.answer("NOTIFY", "list", 480, "Temporarily Unavailable")
	n.notify(n.dialog(w.callID), patience)
	eventually(t, patience, "the alarm", func() bool { return len(hook.of("watcher-exhausted", "list", false)) == 1 })
	holds(t, 2*time.Second, "no REGISTER", func() bool { return c.count(to("REGISTER", "list")) == 0 })
}

// deregistering matches the REGISTERs with Expires: 0 for a user.
func deregistering(user string) func(*message) bool {
	return func(m *message) bool { return to("REGISTER", user)(m) && m.get("expires") == "0" }
}

// TestAlarmNeedsProof: that the user has registered again is not enough; the
// alarm is over when a NOTIFY has got through.
func TestAlarmNeedsProof(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	hook := s.startWebhook()
	s.startRewatch(env{"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_ALARM_WEBHOOK": hook.url})
	_, d := established(c, n, "alice", "bob")
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(d, patience)
	c.expect(patience, "de-REGISTER", deregistering("alice"))
	eventually(t, patience, "the alarm", func() bool { return len(hook.of("watcher-exhausted", "alice", false)) == 1 })
	_, d = established(c, n, "alice", "bob")
	holds(t, 2*time.Second, "the alarm stays without a NOTIFY", func() bool {
		return len(hook.of("watcher-exhausted", "alice", true)) == 0
	})
	c.script("NOTIFY", "alice", nil)
	if r := n.notify(d, patience); r == nil || r.status != 200 {
		t.Fatalf("NOTIFY: %v", r)
	}
	eventually(t, patience, "the alarm is cleared", func() bool { return len(hook.of("watcher-exhausted", "alice", true)) == 1 })
}

// TestDeregisterIsRetried: a 200 that still lists the binding is a failure; it is
// told, tried again with another CSeq or Call-ID, and the alarm ends with it.
func TestDeregisterIsRetried(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	hook := s.startWebhook()
	s.startRewatch(env{"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_ALARM_WEBHOOK": hook.url})
	_, d := established(c, n, "alice", "bob")
	binding := "Contact: <sip:alice@" + s.ip(50) + ":5060>;expires=3000"
	c.answer("REGISTER", "alice", 200, "OK", binding)
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(d, patience)
	first := c.expect(patience, "de-REGISTER", deregistering("alice"))
	eventually(t, patience, "the alarm that it failed", func() bool { return len(hook.of("deregister-failed", "alice", false)) == 1 })
	c.answer("REGISTER", "alice", 200, "OK")
	second := c.expect(2*patience, "second de-REGISTER", deregistering("alice"))
	if first.callID() == second.callID() && first.cseq() == second.cseq() {
		t.Errorf("both have Call-ID %s and CSeq %d", first.callID(), first.cseq())
	}
	eventually(t, patience, "the alarm that it failed is cleared", func() bool {
		return len(hook.of("deregister-failed", "alice", true)) == 1
	})
	if len(hook.of("watcher-exhausted", "alice", true)) != 0 {
		t.Error("the alarm for the user is cleared too")
	}
}

// TestReturnEndsRetries: a user who has registered again is not signed out by a
// de-REGISTER that is still being tried, at the core or at the server.
func TestReturnEndsRetries(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"core", "server"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			n := s.startNotifier()
			c := s.startSCSCF()
			s.startRewatch(env{"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s"})
			_, d := established(c, n, "alice", "bob")
			told := c.peer
			if target == "core" {
				c.answer("REGISTER", "alice", 500, "Server Internal Error")
			} else {
				n.refuse.Store(true)
				told = n.peer
			}
			c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
			n.notify(d, patience)
			told.expect(patience, "de-REGISTER", deregistering("alice"))
			c.script("NOTIFY", "alice", nil)
			// The phone has signed out by itself, or the core has done it after
			// all; otherwise the next REGISTER would be a mere refresh.
			if resp := c.register("alice", 0); resp.status/100 != 2 && target == "core" {
				t.Errorf("end of the registration: %v", resp)
			}
			_, d = established(c, n, "alice", "bob")
			if r := n.notify(d, patience); r == nil || r.status != 200 {
				t.Fatalf("NOTIFY: %v", r)
			}
			before := told.count(deregistering("alice"))
			// The first retry comes after five seconds, the second ten after it.
			holds(t, 12*time.Second, "no further de-REGISTER", func() bool {
				return told.count(deregistering("alice")) == before
			})
		})
	}
}
