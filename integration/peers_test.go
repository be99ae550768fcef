//go:build integration

package integration

import (
	"strings"
	"testing"
)

// TestPeers shows that the peers do what the other tests rely on, without
// rewatch between them: what fails here is not rewatch's fault.
func TestPeers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.startPresence()
	core := s.startCoreWith(s.ip(40), 5070)
	alice := s.startPhone("alice", 50)

	alice.register(600)
	if !core.bound("alice", "alice@"+alice.addr) {
		t.Fatal("alice has no binding")
	}
	s.publish("bob", "here")
	first := alice.subscribed("bob")
	if w := server.watchers("alice"); len(w) != 1 || w[0] != first.callID {
		t.Fatalf("active_watchers of alice: %v, want %s", w, first.callID)
	}
	s.publish("bob", "there")
	if m := alice.notified(first); !strings.Contains(m.body, "there") {
		t.Fatalf("the NOTIFY says %s", m.body)
	}

	// A refused NOTIFY: 480 keeps the subscription, 481 ends it.
	alice.refuses(480)
	s.publish("bob", "busy")
	alice.notified(first)
	core.fault("alice", "503;2")
	s.publish("bob", "away")
	eventually(t, patience, "the core refuses a NOTIFY", func() bool {
		return strings.Contains(core.output(), "fault 503;2")
	})
	core.heal("alice")
	if len(server.watchers("alice")) != 1 {
		t.Fatal("480 or 503 ended the subscription")
	}
	alice.refuses(481)
	s.publish("bob", "gone")
	eventually(t, patience, "481 ends the subscription", func() bool { return len(server.watchers("alice")) == 0 })

	// A lost response: the server repeats its NOTIFY, the core throws every
	// answer away.
	alice.refuses(0)
	second := alice.subscribed("bob")
	core.fault("alice", "lose-response")
	s.publish("bob", "lost")
	alice.notified(second)
	eventually(t, patience, "the NOTIFY is repeated", func() bool {
		alice.peer.mu.Lock()
		defer alice.peer.mu.Unlock()
		for _, m := range alice.seen {
			if m.again && m.callID() == second.callID {
				return true
			}
		}
		return false
	})

	// A de-REGISTER by the application server, with a digest.
	core.habit("challenge")
	as := s.peer("as", 30, 5060, nil)
	aor := "<sip:alice@ims.example>"
	dereg := as.request("udp", "REGISTER", "sip:ims.example", "", "From: <sip:as@ims.example>;tag=1",
		"To: "+aor, "Call-ID: "+token("dereg"), "CSeq: 1 REGISTER", "Contact: *", "Expires: 0")
	if r := as.do("udp", s.ip(20)+":5060", dereg, patience); r == nil || r.status != 401 {
		t.Fatalf("REGISTER without credentials: %v", r)
	}
	core.must("htable.delete", "switch", "challenge")
	dereg = as.request("udp", "REGISTER", "sip:ims.example", "", "From: <sip:as@ims.example>;tag=1",
		"To: "+aor, "Call-ID: "+token("dereg"), "CSeq: 1 REGISTER", "Contact: *", "Expires: 0")
	if r := as.do("udp", s.ip(20)+":5060", dereg, patience); r == nil || r.status != 200 {
		t.Fatalf("third-party de-REGISTER: %v", r)
	}
	if core.bound("alice", "") || core.deregistered("alice") != 1 {
		t.Fatal("the third-party de-REGISTER did not sign alice out")
	}
	if out := core.output() + server.output(); strings.Contains(out, "ERROR") {
		t.Fatalf("a peer complains:\n%s", out)
	}
}
