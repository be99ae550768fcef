//go:build integration

package integration

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHostilePhoneBehindKamailio has a phone behind a real core do its worst by the TCP
// connection that the core shares among all: answers to its NOTIFYs that have two lengths or
// 1,100 fields, requests with 30 Routes that name rewatch, Routes and a Request-URI that lead
// to what it may not reach, and the identity of another. The honest lose no NOTIFY, get no
// MESSAGE and stay signed in; the phone itself is counted.
func TestHostilePhoneBehindKamailio(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startPresence()
	core := s.startBigCore() // who runs out of memory answers 500 to anybody
	r := s.startRewatch(env{"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "2s", "REWATCH_NOTIFY_TIMEOUT": "3s"})
	reached := s.forbidden(66, 6379)
	tcp, hop := "tcp", s.ip(20)+":5060"
	s.publish("bob", "here")
	var phones []*phone
	dialogs := map[*phone]*dialog{}
	for i := range manyHonest {
		p := s.startPhone(honestUser(i), 100+i)
		p.register(600)
		d, resp := p.peer.subscribe(tcp, hop, wish{user: p.user, buddy: "bob"})
		if resp.status/100 != 2 {
			t.Fatal(resp)
		}
		p.notified(d)
		phones, dialogs[p] = append(phones, p), d
	}
	mallory := &mallory{s: s}
	mallory.peer = s.newPeer("mallory", 60, 5060, func(_ *peer, m *message) { mallory.serve(m) })
	s.open(mallory.peer)
	aor := "<sip:mallory@ims.example>"
	mallory.do(tcp, hop, mallory.request(tcp, "REGISTER", "sip:ims.example", "", "From: "+aor+";tag=r", "To: "+aor, "Call-ID: "+token("reg"),
		"CSeq: 1 REGISTER", "Contact: <sip:mallory@"+mallory.addr+";transport=tcp>", "Expires: 600"), patience)
	rounds := 0
	pace := time.NewTicker(time.Second) // the server has to carry what mallory subscribes to
	defer pace.Stop()
	for began := time.Now(); rounds < 4 || time.Since(began) < worst(t); rounds++ {
		round := rounds
		<-pace.C
		mallory.attack(tcp, hop, round)
		before := map[*phone]int{}
		for p, d := range dialogs {
			before[p] = p.count(notifyOf(d))
		}
		s.publish("bob", fmt.Sprint("round ", round))
		for p, d := range dialogs {
			eventually(t, patience, fmt.Sprintf("round %d: %s has its NOTIFY", round, p.user), func() bool { return p.count(notifyOf(d)) > before[p] })
		}
	}
	got := mallory.count(func(m *message) bool { return m.method == "NOTIFY" })
	if got == 0 {
		t.Error("mallory got no NOTIFY to answer")
	}
	t.Logf("%d rounds, %d NOTIFYs to each of %d honest watchers, %d to the hostile one", rounds, rounds, len(phones), got)
	eventually(t, 2*patience, "mallory is counted for its own failures", func() bool { return r.metric("rewatch_notify_total", `result="failed"`) > 0 })
	holds(t, 4*time.Second, "the honest are left alone", func() bool {
		for _, p := range phones {
			if p.count(func(m *message) bool { return m.method == "MESSAGE" }) != 0 || core.deregistered(p.user) != 0 {
				return false
			}
		}
		return true
	})
	for _, p := range phones {
		if !core.bound(p.user, p.user) {
			t.Errorf("%s is signed out", p.user)
		}
	}
	if status, why := r.get("/readyz"); status != 200 {
		t.Errorf("readyz: %d %s", status, why)
	}
	for _, name := range []string{"server-down", "core-outage", "routing-fault"} {
		if n := r.metric("rewatch_alarms_active", `name="`+name+`"`); n != 0 {
			t.Errorf("%s is raised", name)
		}
	}
	if r.metric("rewatch_refused_total", `reason="reach"`) == 0 {
		t.Error("nothing was out of reach")
	}
	select {
	case from := <-reached:
		t.Errorf("what the phone named was reached, from %s", from)
	default:
	}
}

// notifyOf are the NOTIFYs of a dialog.
func notifyOf(d *dialog) func(*message) bool {
	return func(m *message) bool { return m.method == "NOTIFY" && m.callID() == d.callID }
}

// forbidden listens where nobody may be led to, and tells who comes.
func (s *site) forbidden(last, port int) <-chan string {
	s.t.Helper()
	l, err := net.Listen("tcp", fmt.Sprint(s.ip(last), ":", port))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = l.Close() })
	reached := make(chan string, 1)
	go func() {
		if conn, err := l.Accept(); err == nil {
			reached <- conn.RemoteAddr().String()
		}
	}()
	return reached
}

// mallory is a phone that means harm.
type mallory struct {
	*peer
	s *site
}

// serve answers NOTIFYs in ways that can be framed and not be used.
func (m *mallory) serve(req *message) {
	if req.method != "NOTIFY" {
		m.reply(req, 200, "OK")
		return
	}
	lines := []string{"Content-Length: 0"}
	if len(req.callID())%2 == 0 {
		lines = []string{strings.TrimSuffix(strings.Repeat("X: y\r\n", 1100), "\r\n")}
	}
	m.respond(req, response(req, 200, "OK", lines...))
}

// attack sends by way of the core whatever a phone can. A Record-Route of its own is not among
// that: the core follows it itself (TestOwnRecordRouteBehindKamailio).
func (m *mallory) attack(transport, hop string, round int) {
	rewatch, victim := m.s.ip(30)+":5060", m.s.ip(66)+":6379"
	route := func(uris ...string) string { return "Route: <sip:" + strings.Join(uris, ";lr>,<sip:") + ";lr>" }
	core := m.s.ip(20)
	for i, try := range []struct {
		to    string // with or without a tag
		lines []string
	}{
		{"", nil},
		{"", []string{"P-Asserted-Identity: <sip:honest0@ims.example>"}},
		{";tag=x", []string{route(core, rewatch, victim+";transport=tcp")}},
		{";tag=x", []string{route(append([]string{core}, slices.Repeat([]string{rewatch}, 30)...)...)}},
		{";tag=x", []string{route(core, rewatch)}},
	} {
		for _, method := range []string{"SUBSCRIBE", "MESSAGE"} {
			if try.to == "" && method != "SUBSCRIBE" {
				continue
			}
			uri := "sip:bob@ims.example"
			if try.to != "" {
				uri = "sip:x@" + victim + ";transport=tcp"
			}
			m.send(transport, hop, m.request(transport, method, uri, "", append([]string{
				"From: <sip:mallory@ims.example>;tag=m", "To: <sip:bob@ims.example>" + try.to, fmt.Sprintf("Call-ID: %s%s", token("mal"), strings.Repeat("x", i%2)),
				"CSeq: 1 " + method, "Contact: <sip:mallory@" + m.addr + ";transport=tcp>", "Event: presence", "Expires: 20",
				fmt.Sprint("X-Round: ", round),
			}, try.lines...)...))
		}
	}
}

// TestOwnRecordRouteBehindKamailio: a Record-Route that a phone puts into its SUBSCRIBE stays
// below that of the core in the route set of the NOTIFYs, so rewatch sends them to the core,
// and it is the core that goes where the phone has said. In front of a core that leaves such a
// Route on top rewatch does not follow it (TestHostilePhone).
func TestOwnRecordRouteBehindKamailio(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startPresence()
	s.startCore()
	r := s.startRewatch(env{"REWATCH_REACH": s.ip(20) + "/32", "REWATCH_NOTIFY_TIMEOUT": "3s"})
	victim := s.peer("victim", 66, 5060, func(*peer, *message) {})
	s.publish("bob", "here")
	p := s.startPhone("mallory", 50)
	p.register(600)
	_, resp := p.peer.subscribe("udp", s.ip(20)+":5060", wish{
		user: "mallory", buddy: "bob", contact: "sip:mallory@" + p.addr, lines: []string{"Record-Route: <sip:" + victim.addr + ";lr>"},
	})
	if resp.status/100 != 2 {
		t.Fatal(resp)
	}
	m := victim.expect(patience, "the NOTIFY, where the phone has said", func(m *message) bool { return m.method == "NOTIFY" })
	vias := m.all("via")
	if m.source != s.ip(20)+":5060" || len(vias) != 3 || !strings.Contains(vias[0], s.ip(20)) || !strings.Contains(vias[1], s.ip(30)) {
		t.Errorf("it came from %s, by %q", m.source, vias)
	}
	if route := m.get("route"); !strings.Contains(route, victim.addr) {
		t.Errorf("its Route is %q", route)
	}
	eventually(t, patience, "its end is the phone's own failure", func() bool { return r.metric("rewatch_notify_total", `result="failed"`) > 0 })
	for _, name := range []string{"server-down", "core-outage", "routing-fault"} {
		if n := r.metric("rewatch_alarms_active", `name="`+name+`"`); n != 0 {
			t.Errorf("%s is raised", name)
		}
	}
}
