//go:build integration

package integration

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// strikes is how many MESSAGEs a user is charged with, and in which phase it is; -1
// if nothing is known of the user.
func (r *rewatch) strikes(user string) (sent int, phase string) {
	r.t.Helper()
	var v struct {
		Recovery *struct {
			Sent  int    `json:"sent"`
			Phase string `json:"phase"`
		} `json:"recovery"`
	}
	if status, _ := r.get("/api/v1/watchers/sip:" + user + "@ims.example"); status != http.StatusOK {
		return -1, ""
	}
	if r.api("watchers/sip:"+user+"@ims.example", &v); v.Recovery == nil {
		return 0, ""
	}
	return v.Recovery.Sent, v.Recovery.Phase
}

// posing sends a SUBSCRIBE of mallory's that says in From that it is alice's. The
// core knows better.
func posing(c *scscf) (*dialog, *message) {
	return c.peer.subscribe("udp", c.s.coreSide(), wish{user: "alice", buddy: "bob", lines: []string{
		"Route: <sip:" + c.s.coreSide() + ";lr>", "Record-Route: <sip:" + c.addr + ";lr>",
		"P-Asserted-Identity: <sip:mallory@ims.example>",
	}})
}

// TestPoser: who puts the name of another into From pays for the NOTIFYs there
// fail, and the other one does not: not even when rewatch was restarted in between
// and knows nothing but the NOTIFY.
func TestPoser(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			t.Parallel()
			settings := env{"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_DOMAINS": "ims.example"}
			s, n, c, r := scripted(t, settings)
			c.register("alice", 3600)
			c.register("mallory", 3600)
			w, resp := posing(c)
			if resp.status != 200 {
				t.Fatalf("SUBSCRIBE: %v", resp)
			}
			d := n.dialog(w.callID)
			if resp := n.notify(d, patience); resp == nil || resp.status != 200 {
				t.Fatalf("NOTIFY: %v", resp)
			}
			if restart {
				r.stop()
				r = s.startRewatch(settings)
				c.register("alice", 3600)
			}
			c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
			want := map[bool]int{false: 481, true: 480}[restart] // one that is not known passes as it came
			if resp := n.notify(d, patience); resp == nil || resp.status != want {
				t.Errorf("the server got %v, want %d", resp, want)
			}
			if !restart {
				c.expect(patience, "mallory is signed out", to("REGISTER", "mallory"))
			}
			holds(t, 2*time.Second, "alice is left alone", func() bool {
				sent, phase := r.strikes("alice")
				return sent == 0 && phase == "" && c.count(to("MESSAGE", "alice")) == 0 && c.count(to("REGISTER", "alice")) == 0
			})

			// Alice's own failures count against Alice.
			c.script("NOTIFY", "alice", nil)
			_, own := c.subscribe(wish{user: "alice", buddy: "carol"})
			if own.status != 200 {
				t.Fatalf("SUBSCRIBE of alice: %v", own)
			}
			c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
			n.notify(n.dialog(own.callID()), patience)
			c.expect(patience, "a MESSAGE to alice", to("MESSAGE", "alice"))
		})
	}
}

// TestStrangersIdentity: what a peer asserts who is not trusted counts for nothing,
// in whichever message.
func TestStrangersIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n, c := s.startNotifier(), s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_TRUSTED": s.ip(20) + "/32", "REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s"})
	_, d := established(c, n, "alice", "bob")
	before := n.count(func(*message) bool { return true })
	mallory := s.peer("mallory", 99, 5060, nil)
	for _, transport := range []string{"udp", "tcp"} {
		for _, from := range []string{"alice", "mallory"} {
			for _, method := range []string{"SUBSCRIBE", "REGISTER", "PUBLISH"} {
				raw := mallory.request(transport, method, "sip:bob@ims.example", "",
					"From: <sip:"+from+"@ims.example>;tag="+token("t"), "To: <sip:alice@ims.example>", "Call-ID: "+token("c"),
					"CSeq: 1 "+method, "Contact: <sip:alice@"+mallory.addr+">", "Event: presence", "Expires: 0",
					"P-Asserted-Identity: <sip:alice@ims.example>")
				if resp := mallory.do(transport, s.coreSide(), raw, patience); resp == nil || resp.status != 403 {
					t.Errorf("%s over %s from %s: %v, want 403", method, transport, from, resp)
				}
				if transport == "tcp" { // it was closed
					mallory.mu.Lock()
					delete(mallory.streams, s.coreSide())
					mallory.mu.Unlock()
				}
			}
		}
	}
	// Neither does the word of a stranger on the outcome of a NOTIFY.
	done := make(chan *message, 1)
	c.script("NOTIFY", "alice", func(m *message) { done <- m })
	go n.notify(d, patience)
	notify := <-done
	for range 3 {
		mallory.send("udp", s.coreSide(), response(notify, 481, "Subscription Does Not Exist"))
	}
	eventually(t, patience, "the responses of the stranger are dropped", func() bool {
		return r.metric("rewatch_dropped_total", `reason="untrusted"`) >= 3
	})
	c.reply(notify, 200, "OK")
	eventually(t, patience, "the NOTIFY is ok", func() bool { return r.metric("rewatch_notify_total", `result="ok"`) == 1 })
	if sent, phase := r.strikes("alice"); sent != 0 || phase != "" || c.count(to("MESSAGE", "alice")) != 0 {
		t.Errorf("alice is charged with %d, %s", sent, phase)
	}
	if r.metric("rewatch_registrations") != 1 || r.metric("rewatch_subscriptions") != 1 {
		t.Error("a stranger has signed somebody out")
	}
	if got := n.count(func(*message) bool { return true }); got > before+4 { // pings, and the answers to one NOTIFY
		t.Errorf("the server was reached: %d messages, %d before", got, before)
	}
}

// TestMessageComesBack: filter criteria of the core name this application server
// for whatever goes to alice, the MESSAGE of rewatch too. It is known for what it
// is: the server never sees it, alice is not given up for it, the administrator is
// told, and when that is mended it is recovered.
func TestMessageComesBack(t *testing.T) {
	t.Parallel()
	for _, manner := range []string{"as a proxy", "hiding its topology"} {
		t.Run(manner, func(t *testing.T) {
			t.Parallel()
			_, n, c, r := scripted(t, env{"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s"})
			for _, user := range []string{"alice", "carol"} {
				_, d := established(c, n, user, "bob")
				c.script("MESSAGE", user, func(m *message) {
					go func() { c.reply(m, c.sendBack(m, manner != "as a proxy").status, "From The Application Server") }()
				})
				c.answer("NOTIFY", user, 480, "Temporarily Unavailable")
				if resp := n.notify(d, patience); resp == nil || resp.status != 481 {
					t.Fatalf("the server got %v, want 481", resp)
				}
				if user == "alice" && r.metric("rewatch_alarms_active", `name="routing-fault"`) != 0 {
					t.Error("an alarm by the word of one user")
				}
			}
			eventually(t, patience, "MESSAGEs have come back", func() bool {
				return r.metric("rewatch_refused_total", `reason="own"`) >= 4
			})
			for _, m := range c.all(func(m *message) bool { return m.status != 0 && m.cseqMethod() == "MESSAGE" }) {
				if m.status != 482 {
					t.Errorf("it was answered %v, want 482", m)
				}
			}
			if got := n.count(func(m *message) bool { return m.method == "MESSAGE" }); got != 0 {
				t.Errorf("the server has seen %d of them", got)
			}
			if got := r.metric("rewatch_messages_total", `result="returned"`); got < 2 {
				t.Errorf(`rewatch_messages_total{result="returned"} is %v`, got)
			}
			if c.count(to("REGISTER", "alice")) != 0 || r.metric("rewatch_recoveries_total", `result="exhausted"`) != 0 {
				t.Error("alice was given up")
			}
			if got := r.metric("rewatch_alarms_active", `name="routing-fault"`); got != 1 {
				t.Errorf("rewatch_alarms_active is %v", got)
			}

			// Mended: the next one arrives.
			arrived := make(chan *message, 8)
			c.script("NOTIFY", "alice", nil)
			c.script("MESSAGE", "alice", func(m *message) { c.reply(m, 200, "OK"); arrived <- m })
			select {
			case <-arrived:
			case <-time.After(patient):
				t.Fatal("no further MESSAGE")
			}
			w, _ := c.subscribe(wish{user: "alice", buddy: "bob"})
			n.notify(n.dialog(w.callID), patience)
			eventually(t, patience, "alice is recovered", func() bool {
				return r.metric("rewatch_recoveries_total", `result="recovered"`) == 1
			})
		})
	}
}

// sendBack sends a request on to rewatch's core side, as filter criteria have it,
// and gives the response; where the topology is hidden, without the Vias before.
func (c *scscf) sendBack(m *message, hidden bool) *message {
	head, body, _ := bytes.Cut(m.raw, []byte("\r\n\r\n"))
	var kept []string
	for i, line := range strings.Split(string(head), "\r\n") {
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		switch {
		case name == "route", hidden && name == "via":
			continue
		case i == 1:
			kept = append(kept, "Via: SIP/2.0/UDP "+c.addr+";branch=z9hG4bK"+token("isc"), "Route: <sip:"+c.s.coreSide()+";lr>")
		}
		kept = append(kept, line)
	}
	if hidden { // the first Via was where the two lines should have come
		kept = append(kept[:1:1], append([]string{
			"Via: SIP/2.0/UDP " + c.addr + ";branch=z9hG4bK" + token("isc"), "Route: <sip:" + c.s.coreSide() + ";lr>",
		}, kept[1:]...)...)
	}
	resp := c.do("udp", c.s.coreSide(), []byte(strings.Join(kept, "\r\n")+"\r\n\r\n"+string(body)), patience)
	if resp == nil {
		c.t.Error("core: no response to the MESSAGE that was sent back")
		return &message{status: 408}
	}
	return resp
}

var retryAfter = regexp.MustCompile(`^[1-9][0-9]?$`)

// TestOverload: when the open transactions are used up the core is asked to come
// again later, with Retry-After. What has begun goes on, an ACK gets no answer, and
// nothing grows.
func TestOverload(t *testing.T) {
	t.Parallel()
	const most, asked = 8, 50
	s := newSite(t)
	server := s.peer("server", 40, 5070, func(p *peer, m *message) {
		if m.method == "REGISTER" || m.method == "OPTIONS" {
			p.reply(m, 200, "OK", "Expires: 600")
		}
	})
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_MAX_TRANSACTIONS": fmt.Sprint(most)})
	lines := func(method string, extra ...string) []string {
		return append([]string{
			"From: <sip:alice@ims.example>;tag=" + token("t"), "To: <sip:bob@ims.example>", "Call-ID: " + token("c"), "CSeq: 1 " + method,
		}, extra...)
	}
	ask := func(method string, extra ...string) {
		c.send("tcp", s.coreSide(), c.request("tcp", method, "sip:bob@ims.example", "", lines(method, extra...)...))
	}
	for range asked {
		ask("SUBSCRIBE", "Event: presence", "Expires: 600", "Contact: <sip:alice@"+c.addr+">")
		ask("MESSAGE")
	}
	refusals := func() []*message { return c.all(func(m *message) bool { return m.status == 503 }) }
	eventually(t, patience, "the others are refused", func() bool { return len(refusals()) >= 2*asked-most })
	for _, m := range refusals() {
		if !retryAfter.MatchString(m.get("retry-after")) {
			t.Fatalf("503 without Retry-After:\n%s", m.raw)
		}
	}
	ask("ACK")
	if resp := c.register("alice", 600); resp.status != 200 {
		t.Errorf("REGISTER: %v", resp)
	}
	ask("REGISTER", "Expires: 600", "Contact: <sip:"+c.addr+">")
	server.expect(patience, "a REGISTER over TCP", func(m *message) bool {
		return m.method == "REGISTER" && strings.Contains(string(m.raw), "TCP "+c.addr)
	})
	if n := r.metric("rewatch_transactions"); n > most {
		t.Errorf("%v transactions", n)
	}
	eventually(t, patience, "each refusal that came is counted", func() bool {
		return r.metric("rewatch_refused_total", `reason="overload"`) == float64(len(refusals()))
	})
	if c.count(func(m *message) bool { return m.status > 0 && m.cseqMethod() == "ACK" }) != 0 {
		t.Error("an ACK was answered")
	}
	eventually(t, 4*patience, "there is room again", func() bool {
		before := server.count(func(m *message) bool { return m.method == "MESSAGE" })
		ask("MESSAGE")
		time.Sleep(500 * time.Millisecond)
		return server.count(func(m *message) bool { return m.method == "MESSAGE" }) > before
	})
}

// TestCrowdedListener: whoever opens more connections than there may be, and says
// nothing, keeps nobody else from talking, and is counted.
func TestCrowdedListener(t *testing.T) {
	t.Parallel()
	s, _, c, r := scripted(t, env{"REWATCH_MAX_CONNECTIONS": "40", "REWATCH_MAX_CONNECTIONS_PER_PEER": "20"})
	var silent []net.Conn
	t.Cleanup(func() {
		for _, conn := range silent {
			_ = conn.Close()
		}
	})
	storm := func(host, count int) {
		d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.ip(host))}}
		for range count {
			conn, err := d.Dial("tcp4", s.coreSide())
			if err != nil {
				t.Fatal(err)
			}
			silent = append(silent, conn)
		}
	}
	counted := func(reason string) float64 { return r.metric("rewatch_refused_total", `reason="`+reason+`"`) }
	storm(61, 60)
	eventually(t, patience, "one address has 20", func() bool {
		return r.metric("rewatch_streams", `side="core"`, `opened="peer"`) == 20 && counted("streams-per-peer")+counted("silent") == 40
	})
	storm(62, 20)
	storm(63, 20)
	eventually(t, patience, "there are 40", func() bool {
		return r.metric("rewatch_streams", `side="core"`, `opened="peer"`) == 40
	})
	for _, host := range []int{51, 61} {
		caller := &caller{from: s.ip(host), to: s.coreSide()}
		eventually(t, patience, "a silent one makes room", func() bool { return caller.ask(100*host+90) == nil }) // after a second
		for i := range 3 {
			if err := caller.ask(100*host + i); err != nil {
				t.Errorf("a call from %s: %v", caller.from, err)
			}
		}
	}
	if counted("silent") == 0 {
		t.Error("nobody has made room")
	}
	if resp := c.register("alice", 600); resp.status != 200 {
		t.Errorf("REGISTER over UDP: %v", resp)
	}
	_, out := r.get("/metrics")
	for _, name := range []string{"rewatch_udp_dropped_total", "rewatch_stream_bytes", "rewatch_forgotten_total", "rewatch_admin_refused_total"} {
		if !strings.Contains(out, "\n"+name+"{") {
			t.Errorf("no metric %s", name)
		}
	}
}
