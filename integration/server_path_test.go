//go:build integration && linux

package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestServerWithoutUDP: a server whose UDP alone is refused is served by TCP and is not down;
// one that refuses both is down, and is back when one of them is.
func TestServerWithoutUDP(t *testing.T) {
	t.Parallel()
	if !network(t, "nft") {
		return
	}
	s := newSite(t)
	s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_SERVER": "sip:" + s.ip(40) + ":5070"})
	ready := func(want bool) bool {
		status, _ := r.get("/readyz")
		return (status == http.StatusOK) == want
	}
	to := "ip daddr " + s.ip(40)
	lift := firewall(t, to+" udp dport 5070")
	for i, user := range []string{"a", "b", "c"} {
		if m := c.register(user, 3600); m.status != 200 {
			t.Fatalf("%s: %v", user, m)
		}
		if _, m := c.subscribe(wish{user: user, buddy: "bob"}); m.status != 200 {
			t.Fatalf("%s: %v", user, m)
		}
		for range 4 * i { // and its pings by UDP are refused
			time.Sleep(time.Second)
			if !ready(true) {
				t.Fatal("not ready")
			}
		}
	}
	if _, out := r.get("/api/v1/alarms"); strings.Contains(out, "server-down") {
		t.Error(out)
	}
	lift()
	lift = firewall(t, to+" th dport 5070")
	c.subscribe(wish{user: "d", buddy: "bob"})
	eventually(t, patience, "it is down", func() bool { return ready(false) })
	lift()
	lift = firewall(t, to+" udp dport 5070")
	defer lift()
	eventually(t, patience, "it is back by TCP", func() bool { return ready(true) })
	if _, m := c.subscribe(wish{user: "e", buddy: "bob"}); m.status != 200 {
		t.Fatal(m)
	}
}

// TestServerDeafByUDP: a server whose UDP leads nowhere, and tells nobody, is served by TCP and is
// not down. It is found by OPTIONS by both, and the retransmission of the request goes by TCP.
func TestServerDeafByUDP(t *testing.T) {
	if !network(t, "nft") {
		return
	}
	s := newSite(t)
	s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_SERVER": "sip:" + s.ip(40) + ":5070"})
	hole(t, "ip daddr "+s.ip(40)+" udp dport 5070")
	if m := c.register("a", 3600); m.status != 200 {
		t.Fatal(m)
	}
	began := time.Now()
	for time.Since(began) < 45*time.Second { // for longer than a way is avoided
		sent := time.Now()
		if _, m := c.subscribe(wish{user: "a", buddy: "bob"}); m.status != 200 || time.Since(sent) > time.Second {
			t.Fatalf("%s after the first one, after %s: %v", time.Since(began), time.Since(sent), m)
		}
		if status, detail := r.get("/readyz"); status != http.StatusOK {
			t.Fatal(detail)
		}
		time.Sleep(3 * time.Second)
	}
	if _, out := r.get("/api/v1/alarms"); strings.Contains(out, "server-down") {
		t.Error(out)
	}
}
