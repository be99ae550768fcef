//go:build integration

package integration

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// An outcome is a row of the failure matrix: what becomes of a NOTIFY, and what
// the server and the watcher hear of it.
type outcome struct {
	name string
	// play scripts the core for the NOTIFYs to a user.
	play func(c *scscf, user string)
	// status is what the server gets; rfc the same in mode rfc, if it differs.
	status, rfc int
	cause       string // in the MESSAGE; empty: no MESSAGE
	ignoredRFC  bool   // no MESSAGE in mode rfc
}

// answered is an outcome where the core gives a final response.
func answered(status int, reason string, o outcome, extra ...string) outcome {
	o.name = strings.TrimSpace(fmt.Sprint(status, " ", strings.Join(extra, " ")))
	o.play = func(c *scscf, user string) { c.answer("NOTIFY", user, status, reason, extra...) }
	if o.cause != "none" && o.cause == "" {
		o.cause = fmt.Sprintf("%d %s", status, reason)
	}
	if o.cause == "none" {
		o.cause = ""
	}
	if o.status == 0 {
		o.status = 481
	}
	return o
}

// once scripts a first answer to a user's NOTIFYs; the following get 200.
func once(status int, reason string, extra ...string) func(*scscf, string) {
	return func(c *scscf, user string) {
		var n atomic.Int32
		c.script("NOTIFY", user, func(m *message) {
			if n.Add(1) == 1 {
				c.reply(m, status, reason, extra...)
				return
			}
			c.reply(m, 200, "OK")
		})
	}
}

// outcomes is the failure matrix. Those with ignoredRFC are limited to the
// transaction by RFC 5057 5.1: failures in mode any, and only counted in mode
// rfc, where the server gets the response as it is.
var outcomes = []outcome{
	{name: "timeout", status: 481, cause: "408 Request Timeout", play: func(c *scscf, user string) { c.silence("NOTIFY", user) }},
	answered(302, "Moved Temporarily", outcome{rfc: 302, ignoredRFC: true}),
	answered(400, "Bad Request", outcome{rfc: 400, ignoredRFC: true}),
	answered(403, "Forbidden", outcome{}),
	answered(404, "Not Found", outcome{}),
	answered(408, "Request Timeout", outcome{}),
	answered(480, "Temporarily Unavailable", outcome{}),
	answered(481, "Subscription Does Not Exist", outcome{}),
	answered(488, "Not Acceptable Here", outcome{rfc: 488, ignoredRFC: true}),
	answered(500, "Server Internal Error", outcome{rfc: 500, ignoredRFC: true}),
	answered(500, "Server Internal Error", outcome{status: 500, cause: "none"}, "Retry-After: 2"),
	answered(503, "Service Unavailable", outcome{}),
	answered(603, "Decline", outcome{rfc: 603, ignoredRFC: true}),
	{name: "491 then 200", status: 491, play: once(491, "Request Pending")},
	{name: "401 then 200", status: 401, play: once(401, "Unauthorized", `WWW-Authenticate: Digest realm="ims.example", nonce="n", algorithm=MD5`)},
	{name: "407 then 200", status: 407, play: once(407, "Proxy Authentication Required", `Proxy-Authenticate: Digest realm="ims.example", nonce="n", algorithm=MD5`)},
}

// TestFailureMatrix: each outcome of a NOTIFY in both modes, each for a user of
// its own.
func TestFailureMatrix(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"any", "rfc"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			n := s.startNotifier()
			c := s.startSCSCF()
			r := s.startRewatch(env{"REWATCH_FAILURE": mode, "REWATCH_RESUBSCRIBE_TIMEOUT": "60s"})
			var all sync.WaitGroup
			failed := 0
			for i, o := range outcomes {
				user := fmt.Sprintf("user%d", i)
				_, d := established(c, n, user, "bob")
				o.play(c, user)
				status, cause := o.status, o.cause
				if mode == "rfc" && o.rfc != 0 {
					status = o.rfc
				}
				if mode == "rfc" && o.ignoredRFC {
					cause = ""
				}
				if cause != "" {
					failed++
				}
				all.Go(func() {
					resp := n.notify(d, 8*time.Second)
					if resp == nil || resp.status != status {
						t.Errorf("%s: the server got %v, want %d", o.name, resp, status)
						return
					}
					if strings.HasSuffix(o.name, "then 200") {
						if resp := n.notify(d, 8*time.Second); resp == nil || resp.status != 200 {
							t.Errorf("%s: then the server got %v, want 200", o.name, resp)
						}
					}
					if cause == "" {
						return
					}
					m := c.find(patience, to("MESSAGE", user))
					if m == nil {
						t.Errorf("%s: no MESSAGE", o.name)
						return
					}
					if want := lost("bob", d.callID, cause, 1, 3); !sameBody(m.body, want) {
						t.Errorf("%s: MESSAGE\n%s\nwant\n%s", o.name, m.body, want)
					}
					if !m.at.After(resp.at) {
						t.Errorf("%s: the MESSAGE came before the 481", o.name)
					}
				})
			}
			all.Wait()
			holds(t, 2*time.Second, "one MESSAGE for each failure", func() bool {
				return c.count(func(m *message) bool { return m.method == "MESSAGE" }) <= failed
			})
			if got := c.count(func(m *message) bool { return m.method == "MESSAGE" }); got != failed {
				t.Errorf("%d MESSAGEs, want %d", got, failed)
			}
			for i, o := range outcomes {
				want := 0
				if o.cause != "" && (mode != "rfc" || !o.ignoredRFC) {
					want = 1
				}
				if got := c.count(to("MESSAGE", fmt.Sprintf("user%d", i))); got != want {
					t.Errorf("%s: %d MESSAGEs, want %d", o.name, got, want)
				}
			}
			if got := r.metric("rewatch_notify_total", `result="failed"`); got != float64(failed) {
				t.Errorf(`rewatch_notify_total{result="failed"} is %v, want %d`, got, failed)
			}
		})
	}
}

// TestReset: the core takes the connection and resets it when the NOTIFY comes.
func TestReset(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"any", "rfc"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			n := s.startNotifier()
			c := s.startSCSCF()
			s.startRewatch(env{"REWATCH_FAILURE": mode})
			c.register("alice", 3600)
			w, r := c.subscribeOver("tcp", wish{user: "alice", buddy: "bob"})
			if r.status != 200 {
				t.Fatalf("SUBSCRIBE over TCP: %v", r)
			}
			c.script("NOTIFY", "alice", func(m *message) {
				if m.conn == nil {
					t.Errorf("the NOTIFY came by %s", m.transport)
					return
				}
				_ = m.conn.Conn.(*net.TCPConn).SetLinger(0)
				_ = m.conn.Close()
			})
			if r := n.notify(n.dialog(w.callID), 8*time.Second); r == nil || r.status != 481 {
				t.Fatalf("the server got %v, want 481", r)
			}
			m := c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
			if !strings.Contains(m.body, "Call-ID: "+w.callID) {
				t.Errorf("MESSAGE:\n%s", m.body)
			}
			holds(t, time.Second, "one MESSAGE", func() bool { return c.count(to("MESSAGE", "alice")) == 1 })
		})
	}
}

// TestBenign: what looks like a failure and is none. There is no MESSAGE and no
// strike.
func TestBenign(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	const coalesce = 2 * time.Second
	r := s.startRewatch(env{"REWATCH_NOTIFY_TIMEOUT": "3s", "REWATCH_COALESCE": coalesce.String()})

	t.Run("un-SUBSCRIBE crosses the NOTIFY", func(t *testing.T) {
		w, d := established(c, n, "anna", "bob")
		hold := make(chan *message, 1)
		c.script("NOTIFY", "anna", func(m *message) { hold <- m })
		got := make(chan *message, 1)
		go func() { got <- n.notify(d, 8*time.Second) }()
		m := <-hold
		if r := c.again(w, 0); r.status != 200 {
			t.Errorf("un-SUBSCRIBE: %v", r)
		}
		c.reply(m, 481, "Subscription Does Not Exist")
		if r := <-got; r == nil || r.status != 481 {
			t.Errorf("the server got %v, want 481", r)
		}
	})
	t.Run("the NOTIFY after an un-SUBSCRIBE", func(t *testing.T) {
		w, d := established(c, n, "arno", "bob")
		if r := c.again(w, 0); r.status != 200 {
			t.Errorf("un-SUBSCRIBE: %v", r)
		}
		c.answer("NOTIFY", "arno", 481, "Subscription Does Not Exist")
		n.notifyState(d, "terminated;reason=timeout", 8*time.Second)
	})
	t.Run("terminated", func(t *testing.T) {
		_, d := established(c, n, "bert", "bob")
		c.silence("NOTIFY", "bert")
		n.notifyState(d, "terminated;reason=noresource", 6*time.Second)
	})
	t.Run("fetch", func(t *testing.T) {
		w, resp := c.subscribe(wish{user: "cora", buddy: "bob", expires: -1})
		if resp.status != 200 {
			t.Fatalf("fetch: %v", resp)
		}
		c.answer("NOTIFY", "cora", 481, "Subscription Does Not Exist")
		n.notifyState(n.dialog(w.callID), "terminated;reason=timeout", 8*time.Second)
	})
	t.Run("superseded dialog", func(t *testing.T) {
		_, old := established(c, n, "dora", "bob")
		fresh, resp := c.subscribe(wish{user: "dora", buddy: "bob"})
		if resp.status != 200 {
			t.Fatalf("second SUBSCRIBE: %v", resp)
		}
		c.script("NOTIFY", "dora", func(m *message) {
			if m.callID() == fresh.callID {
				c.reply(m, 200, "OK")
				return
			}
			c.reply(m, 481, "Subscription Does Not Exist")
		})
		if r := n.notify(n.dialog(fresh.callID), 8*time.Second); r == nil || r.status != 200 {
			t.Errorf("the new dialog's NOTIFY got %v", r)
		}
		if r := n.notify(old, 8*time.Second); r == nil || r.status != 481 {
			t.Errorf("the old dialog's NOTIFY got %v", r)
		}
	})
	t.Run("late 200", func(t *testing.T) {
		_, d := established(c, n, "emil", "bob")
		hold := make(chan *message, 4)
		c.script("NOTIFY", "emil", func(m *message) { hold <- m })
		got := n.notify(d, 8*time.Second)
		if got == nil || got.status != 481 {
			t.Errorf("the server got %v, want 481 at the deadline", got)
		}
		// Once the core has answered OPTIONS the failure counts. Within the time of
		// coalescing the MESSAGE is still to come.
		eventually(t, coalesce, "the recovery has begun", func() bool { _, phase := r.strikes("emil"); return phase == "gathering" })
		c.reply(<-hold, 200, "OK")
	})
	holds(t, coalesce+time.Second, "no MESSAGE", func() bool {
		return c.count(func(m *message) bool { return m.method == "MESSAGE" }) == 0
	})
	if got := r.metric("rewatch_messages_total"); got != 0 {
		t.Errorf("rewatch_messages_total is %v, want 0", got)
	}
}

// TestRetransmissions: a NOTIFY that is repeated ten times and refused ten times
// is one failure.
func TestRetransmissions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_RESUBSCRIBE_TIMEOUT": "60s"})
	_, d := established(c, n, "alice", "bob")
	c.answer("NOTIFY", "alice", 404, "Not Found")
	_, hop := d.hop()
	raw := n.build(d, d.next(), "active;expires=3599")
	for range 10 {
		n.send("udp", hop, raw)
	}
	resp := n.expect(patience, "a final response", func(m *message) bool { return m.cseqMethod() == "NOTIFY" })
	if resp.status != 481 {
		t.Errorf("the server got %v, want 481", resp)
	}
	c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	for range 10 {
		n.send("udp", hop, raw)
	}
	holds(t, 2*time.Second, "one MESSAGE", func() bool { return c.count(to("MESSAGE", "alice")) == 1 })
	if got := r.metric("rewatch_notify_total", `result="failed"`); got != 1 {
		t.Errorf(`rewatch_notify_total{result="failed"} is %v, want 1`, got)
	}
	if c.count(to("NOTIFY", "alice")) != 1 {
		t.Error("the core saw more than one transaction")
	}
}

// TestServerKeepsDialog: a server that does not obey the 481 and goes on in the
// old dialog does no harm to the user.
func TestServerKeepsDialog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_RESUBSCRIBE_TIMEOUT": "60s"})
	_, old := established(c, n, "alice", "bob")
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	if r := n.notify(old, patience); r == nil || r.status != 481 {
		t.Fatalf("the server got %v, want 481", r)
	}
	c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	// The phone has forgotten the old dialog, and subscribes anew.
	fresh, resp := c.subscribe(wish{user: "alice", buddy: "bob"})
	if resp.status != 200 {
		t.Fatalf("the new SUBSCRIBE: %v", resp)
	}
	c.script("NOTIFY", "alice", func(m *message) {
		if m.callID() == fresh.callID {
			c.reply(m, 200, "OK")
			return
		}
		c.reply(m, 481, "Subscription Does Not Exist")
	})
	for range 5 {
		if r := n.notify(n.dialog(fresh.callID), patience); r == nil || r.status != 200 {
			t.Errorf("NOTIFY in the new dialog: %v", r)
		}
		if r := n.notify(old, patience); r == nil || r.status != 481 {
			t.Errorf("NOTIFY in the dead dialog: %v, want 481", r)
		}
	}
	eventually(t, patience, "recovered", func() bool {
		return r.metric("rewatch_recoveries_total", `result="recovered"`) == 1
	})
	holds(t, time.Second, "one MESSAGE", func() bool { return c.count(to("MESSAGE", "alice")) == 1 })
	if got := r.metric("rewatch_recoveries_total"); got != 1 {
		t.Errorf("rewatch_recoveries_total is %v, want 1", got)
	}
}

// TestRefreshOfDeadDialog: a client that knows nothing of the MESSAGE learns at
// its next refresh that its subscription is gone.
func TestRefreshOfDeadDialog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	s.startRewatch(env{"REWATCH_MAX_EXPIRES": "60"})
	w, d := established(c, n, "alice", "bob")
	sub := n.expect(patience, "SUBSCRIBE", func(m *message) bool { return m.method == "SUBSCRIBE" })
	if sub.get("expires") != "60" {
		t.Errorf("the server is asked for Expires: %s, want 60", sub.get("expires"))
	}
	c.answer("NOTIFY", "alice", 500, "Server Internal Error")
	n.notify(d, patience)
	if r := c.again(w, 600); r.status != 481 {
		t.Errorf("refresh in the dead dialog: %v, want 481", r)
	}
}

// TestHundredSubscriptions: a phone with 100 broken subscriptions gets one
// MESSAGE, and it is one strike.
func TestHundredSubscriptions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_RESUBSCRIBE_TIMEOUT": "60s", "REWATCH_COALESCE": "3s"})
	c.register("alice", 3600)
	var dialogs []*dialog
	for i := range 100 {
		w, resp := c.subscribe(wish{user: "alice", buddy: fmt.Sprintf("buddy%d", i)})
		if resp.status != 200 {
			t.Fatalf("SUBSCRIBE %d: %v", i, resp)
		}
		dialogs = append(dialogs, n.dialog(w.callID))
	}
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	var all sync.WaitGroup
	for _, d := range dialogs {
		all.Go(func() {
			if r := n.notify(d, patience); r == nil || r.status != 481 {
				t.Errorf("the server got %v, want 481", r)
			}
		})
	}
	all.Wait()
	m := c.expect(patience, "MESSAGE", to("MESSAGE", "alice"))
	if len(m.raw) > 1300 {
		t.Errorf("the MESSAGE has %d bytes", len(m.raw))
	}
	named := strings.Count(m.body, "Resource: sip:buddy")
	if !strings.Contains(m.body, fmt.Sprintf("And: %d more", 100-named)) || named == 0 {
		t.Errorf("the MESSAGE names %d subscriptions:\n%s", named, m.body)
	}
	if !strings.Contains(m.body, "Attempt: 1 of 3") {
		t.Errorf("not the first attempt:\n%s", m.body)
	}
	holds(t, 3*time.Second, "one MESSAGE", func() bool { return c.count(to("MESSAGE", "alice")) == 1 })
	if got := r.metric("rewatch_messages_total"); got != 1 {
		t.Errorf("rewatch_messages_total is %v, want 1", got)
	}
}
