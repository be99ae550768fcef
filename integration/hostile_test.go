//go:build integration

package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// TestHostilePhone has one phone, behind a core that passes on what it writes, do its worst
// for a while: 50 honest watchers lose no NOTIFY, get no MESSAGE and stay signed in, the
// server stays up, and nothing is reached that the phone has named.
func TestHostilePhone(t *testing.T) {
	t.Parallel()
	s, n, c, r := scripted(t, env{"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_DOMAINS": "ims.example"})
	victim, err := net.Listen("tcp", s.ip(66)+":6379")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = victim.Close() }()
	reached := make(chan string, 1)
	go func() {
		if conn, err := victim.Accept(); err == nil {
			reached <- conn.RemoteAddr().String()
		}
	}()
	const honest = 50
	var dialogs []*dialog
	for i := range honest {
		_, d := established(c, n, fmt.Sprint("honest", i), "bob")
		dialogs = append(dialogs, d)
	}
	tries := [][]string{
		{"To: <sip:bob@ims.example>;tag=x", "Route: <sip:" + victim.Addr().String() + ";transport=tcp;lr>"},
		{"To: <sip:bob@ims.example>;tag=x", strings.TrimSuffix(strings.Repeat("Route: <sip:"+c.s.coreSide()+";lr>\r\nX: y\r\n", 30), "\r\n")},
		{"To: <sip:bob@ims.example>", "Record-Route: <sip:" + victim.Addr().String() + ";transport=tcp;lr>"},
		{"To: <sip:bob@ims.example>", "Route: <sip:" + c.s.coreSide() + ";lr>", "Via: SIP/2.0/UDP " + strings.Repeat("z9hG4bKr,", 2000) + "x"},
	}
	for round := range 3 {
		for i, fields := range tries {
			for _, method := range []string{"SUBSCRIBE", "MESSAGE", "REGISTER", "PUBLISH"} {
				lines := append([]string{
					fmt.Sprintf("Via: SIP/2.0/UDP %s;branch=z9hG4bKhostile%d-%d-%s", c.addr, round, i, method), "Max-Forwards: 70",
					"From: <sip:mallory@ims.example>;tag=m", fmt.Sprintf("Call-ID: hostile%d-%d-%s", round, i, method), "CSeq: 1 " + method,
					"P-Asserted-Identity: <sip:mallory@ims.example>", "Event: presence", "Expires: 600", "Contact: <sip:mallory@" + c.addr + ">", "Content-Length: 0",
				}, fields...)
				c.send("udp", c.s.coreSide(), []byte(method+" sip:x@"+victim.Addr().String()+";transport=tcp SIP/2.0\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n"))
			}
		}
		for i, d := range dialogs {
			if resp := n.notify(d, patience); resp == nil || resp.status != 200 {
				t.Errorf("round %d: the NOTIFY of honest%d: %v", round, i, resp)
			}
		}
	}
	holds(t, 2*time.Second, "the honest are left alone", func() bool {
		for i := range honest {
			user := fmt.Sprint("honest", i)
			if c.count(to("MESSAGE", user)) != 0 || c.count(to("REGISTER", user)) != 0 {
				return false
			}
		}
		return true
	})
	if status, why := r.get("/readyz"); status != 200 {
		t.Errorf("readyz: %d %s", status, why)
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
