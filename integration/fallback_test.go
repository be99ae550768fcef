//go:build integration

package integration

import (
	"fmt"
	"testing"
	"time"
)

// tell has an S-CSCF tell the server of a user's registration by a third-party REGISTER.
func (p *peer) tell(s *site, transport, user string, cseq, expires int) *message {
	raw := p.request(transport, "REGISTER", "sip:"+s.coreSide(), "",
		"From: <sip:scscf.ims.example>;tag="+token("f"), "To: <sip:"+user+"@ims.example>", "Call-ID: third-party-"+user,
		fmt.Sprintf("CSeq: %d REGISTER", cseq), "Contact: <sip:"+p.addr+";lr>", fmt.Sprintf("Expires: %d", expires))
	return p.do(transport, s.coreSide(), raw, patience)
}

// TestRegisterFallback: the server is killed, and rewatch too. Whoever comes or goes
// meanwhile has a 200 at once, and the server hears of the newest of each, in order and
// once, when it is back. Before and after it has every REGISTER itself.
func TestRegisterFallback(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	registrar := func(p *peer, m *message) {
		switch m.method {
		case "REGISTER":
			p.reply(m, 200, "OK", "Expires: "+m.get("expires"), "X-Server: yes")
		case "OPTIONS":
			p.reply(m, 200, "OK")
		}
	}
	scscf := s.peer("scscf", 20, 5060, nil)
	server := s.peer("server", 40, 5070, registrar)
	settings := env{"REWATCH_REGISTER_FALLBACK": "true", "REWATCH_STATE": "file:" + s.file("state.db")}
	r := s.startRewatch(settings)
	answered := func(m *message, expires int, byServer bool) {
		t.Helper()
		if m == nil || m.status != 200 || m.get("expires") != fmt.Sprint(expires) || (m.get("x-server") != "") != byServer {
			t.Fatalf("got %v", m)
		}
	}
	answered(scscf.tell(s, "udp", "alice", 1, 600), 600, true)
	answered(scscf.tell(s, "tcp", "bob", 1, 600), 600, true)

	server.close()
	began := time.Now()
	answered(scscf.tell(s, "udp", "alice", 2, 600), 600, false)
	answered(scscf.tell(s, "tcp", "bob", 2, 0), 0, false)
	answered(scscf.tell(s, "udp", "carol", 1, 600), 600, false)
	answered(scscf.tell(s, "tcp", "dave", 1, 1), 1, false)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the answers took %v", took)
	}
	r.kept()
	r.kill()
	r = s.launchRewatch(settings)
	eventually(t, patience, "rewatch listens", func() bool { status, _ := r.get("/healthz"); return status == 200 })
	if n := r.metric("rewatch_register_fallback_waiting"); n < 3 {
		t.Errorf("%v are kept", n)
	}
	answered(scscf.tell(s, "udp", "alice", 3, 0), 0, false)
	time.Sleep(time.Until(began.Add(2 * time.Second))) // the registration of dave is over

	server = s.peer("server-again", 40, 5070, registrar)
	eventually(t, 2*patience, "the server has them", func() bool { return r.metric("rewatch_register_fallback_waiting") == 0 })
	var got []string
	for _, m := range server.all(func(m *message) bool { return m.method == "REGISTER" }) {
		got = append(got, fmt.Sprint(userOf(m.get("to")), " ", m.cseq(), " ", m.get("expires")))
	}
	if want := "[bob 2 0 carol 1 600 alice 3 0]"; fmt.Sprint(got) != want {
		t.Errorf("the server got %v, want %v", got, want)
	}
	answered(scscf.tell(s, "udp", "bob", 3, 600), 600, true)
	if scscf.count(func(m *message) bool { return m.status >= 300 }) > 0 {
		t.Error("a REGISTER was refused")
	}
}
