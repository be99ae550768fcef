//go:build integration

package integration

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServerDown: a SUBSCRIBE gets 503, readiness says why, and when the server
// is back everything is as before.
func TestServerDown(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c := s.startSCSCF()
			r := s.launchRewatch(env{"REWATCH_SERVER": "sip:" + s.ip(40) + ":5070;transport=" + transport})
			eventually(t, patience, "the admin server is there", func() bool {
				r.running()
				status, _ := r.get("/healthz")
				return status == http.StatusOK
			})
			var why string
			eventually(t, patience, "not ready", func() bool {
				var status int
				status, why = r.get("/readyz")
				return status == http.StatusServiceUnavailable
			})
			if !strings.Contains(why, "server") {
				t.Errorf("readiness says %q", why)
			}
			if _, resp := c.subscribe(wish{user: "alice", buddy: "bob"}); resp.status != 503 {
				t.Errorf("SUBSCRIBE: %v, want 503", resp)
			}
			n := s.startNotifier()
			eventually(t, 3*patience, "ready", func() bool {
				status, _ := r.get("/readyz")
				return status == http.StatusOK
			})
			w, resp := c.subscribe(wish{user: "alice", buddy: "bob"})
			if resp.status != 200 {
				t.Fatalf("SUBSCRIBE: %v", resp)
			}
			if resp := n.notify(n.dialog(w.callID), patience); resp == nil || resp.status != 200 {
				t.Errorf("NOTIFY: %v", resp)
			}
			n.close()
			eventually(t, 3*patience, "not ready again", func() bool {
				status, _ := r.get("/readyz")
				return status == http.StatusServiceUnavailable
			})
		})
	}
}

// TestDrain: on SIGTERM readiness falls, a NOTIFY that is under way ends as it
// would have, and the process ends with status 0.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_NOTIFY_TIMEOUT": "5s", "REWATCH_DRAIN": "8s"})
	_, d := established(c, n, "alice", "bob")
	hold := make(chan *message, 1)
	c.script("NOTIFY", "alice", func(m *message) { hold <- m })
	got := make(chan *message, 1)
	go func() { got <- n.notify(d, 2*patience) }()
	m := <-hold
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "readiness falls", func() bool {
		status, _ := r.get("/readyz")
		return status != http.StatusOK
	})
	c.reply(m, 200, "OK")
	if resp := <-got; resp == nil || resp.status != 200 {
		t.Errorf("the server got %v, want the 200", resp)
	}
	if err := r.wait(10 * time.Second); err != nil {
		t.Errorf("rewatch: %v", err)
	}
	if dialable(s.coreSide()) {
		t.Error("somebody still listens")
	}
}

// TestDrainIsBounded: a NOTIFY without an answer holds the process no longer
// than REWATCH_DRAIN.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_NOTIFY_TIMEOUT": "28s", "REWATCH_DRAIN": "2s"})
	_, d := established(c, n, "alice", "bob")
	c.silence("NOTIFY", "alice")
	_, hop := d.hop()
	n.send("udp", hop, n.build(d, d.next(), "active;expires=3599"))
	c.expect(patience, "NOTIFY", to("NOTIFY", "alice"))
	start := time.Now()
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	if err := r.wait(patience); err != nil {
		t.Errorf("rewatch: %v", err)
	}
	if took := time.Since(start); took > 6*time.Second {
		t.Errorf("it took %v to end", took)
	}
}

// TestStrangers: who is not in REWATCH_TRUSTED gets 403, and is counted.
func TestStrangers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_TRUSTED": s.ip(20) + "/32"})
	if resp := c.register("alice", 600); resp.status != 200 {
		t.Errorf("REGISTER from the core: %v", resp)
	}
	p := s.startPhone("mallory", 99)
	raw := p.request("udp", "OPTIONS", "sip:bob@ims.example", "", "From: <sip:mallory@ims.example>;tag=1",
		"To: <sip:bob@ims.example>", "Call-ID: "+token("c"), "CSeq: 1 OPTIONS")
	if resp := p.do("udp", s.coreSide(), raw, patience); resp == nil || resp.status != 403 {
		t.Errorf("OPTIONS from a stranger: %v, want 403", resp)
	}
	if n.count(func(m *message) bool { return m.callID() == parse(raw).callID() }) != 0 {
		t.Error("the stranger's request reached the server")
	}
	if r.metric("rewatch_refused_total") == 0 {
		t.Error("the refusal was not counted")
	}
}

// TestRefusals: what a proxy refuses, and how.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startNotifier()
	c := s.startSCSCF()
	s.startRewatch(nil)
	lines := func() []string {
		return []string{
			"From: <sip:a@ims.example>;tag=1", "To: <sip:b@ims.example>", "Call-ID: " + token("c"), "CSeq: 1 OPTIONS",
		}
	}
	spent := strings.Replace(string(c.request("udp", "OPTIONS", "sip:b@ims.example", "", lines()...)), "Max-Forwards: 70", "Max-Forwards: 0", 1)
	if resp := c.do("udp", s.coreSide(), []byte(spent), patience); resp == nil || resp.status != 483 {
		t.Errorf("Max-Forwards: 0: %v, want 483", resp)
	}
	odd := strings.Replace(string(c.request("udp", "OPTIONS", "sip:b@ims.example", "", lines()...)), "CSeq: 1 OPTIONS\r\n", "", 1)
	if resp := c.do("udp", s.coreSide(), []byte(odd), 2*time.Second); resp != nil && resp.status != 400 {
		t.Errorf("without CSeq: %v, want 400 or nothing", resp)
	}
	// A loop: the Route sends it back to us.
	loop := c.request("udp", "OPTIONS", "sip:b@ims.example", "",
		append(lines(), "Route: <sip:"+s.coreSide()+";lr>, <sip:"+s.coreSide()+";lr>")...)
	if resp := c.do("udp", s.coreSide(), loop, patience); resp == nil {
		t.Error("own Routes twice: no answer")
	}
	for _, garbage := range []string{"\x00\x01\x02", "SIP/2.0\r\n\r\n", "NOTIFY\r\n\r\n", "INVITE sip:x SIP/2.0\r\nVia: ;\r\n\r\n"} {
		c.send("udp", s.coreSide(), []byte(garbage))
	}
	if resp := c.register("alice", 600); resp.status != 200 {
		t.Errorf("after garbage: %v", resp)
	}
}

// TestHangup: SIGHUP ends nothing, and the next MESSAGE is made by the template as it is
// now. A template that is wrong changes nothing.
func TestHangup(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	text := s.write("message.tmpl", "first {{.AOR}}")
	r := s.launchRewatch(env{"REWATCH_MESSAGE_TEMPLATE": "@" + text})
	for _, step := range []struct{ text, says string }{
		{"second {{.AOR}}", `"template_changed":true`}, {"third {{.NoSuch}}", "nothing is reloaded"},
	} {
		eventually(t, patience, "the admin server is there", func() bool { status, _ := r.get("/healthz"); return status == http.StatusOK })
		s.write("message.tmpl", step.text)
		r.signal(syscall.SIGHUP)
		eventually(t, patience, step.says, func() bool { r.running(); return strings.Contains(r.output(), step.says) })
	}
}
