package proxy

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var retryAfterField = regexp.MustCompile(`\r\nRetry-After: [2-5]\r\n`)

// wantOverload fails unless a 503 has come that says when to come again.
func wantOverload(t *testing.T, got, reason string) {
	t.Helper()
	if !strings.HasPrefix(got, "SIP/2.0 503 "+reason+"\r\n") || !retryAfterField.MatchString(got) {
		t.Fatalf("no 503 %s with Retry-After: %q", reason, got)
	}
}

// refused is how many requests were refused for a reason.
func refused(t *testing.T, reg *prometheus.Registry, reason string) string {
	t.Helper()
	for line := range strings.Lines(shown(t, reg, "rewatch_refused_total")) {
		if n, ok := strings.CutPrefix(line, reason+" "); ok {
			return strings.TrimSpace(n)
		}
	}
	return ""
}

// TestShed refuses new work of the core when its part of the table is used up. What
// belongs to old work goes on, and so do REGISTERs and the NOTIFYs of the server.
func TestShed(t *testing.T) {
	reg := prometheus.NewRegistry()
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		send := func(method, branch string, extra ...string) {
			x.send(request(method, "sip:bob@ims.example", viaTCP(branch), extra...))
		}
		for i := range 6 { // of 8, a quarter is for others
			send("SUBSCRIBE", fmt.Sprint("s", i))
			r.server.want("SUBSCRIBE")
		}
		r.monitor.told()
		send("SUBSCRIBE", "s6")
		first := x.poll()
		wantOverload(t, first, tooManyOpen)
		send("SUBSCRIBE", "s6")
		if again := x.poll(); again != first {
			t.Errorf("the retransmission is answered %q", again)
		}
		if s := r.monitor.told(); s != "" {
			t.Error("the Monitor was told of what was refused: ", s)
		}
		send("ACK", "a1")
		x.nothing()
		r.server.want("ACK")
		send("REGISTER", "r1")
		r.server.want("REGISTER")
		send("SUBSCRIBE", "s7", "To: <sip:bob@ims.example>;tag=refresh")
		r.server.want("SUBSCRIBE")
		if n := r.s.table.Len(); n != 7 {
			t.Error(n, "records; the last eighth is for NOTIFYs")
		}
		r.server.send(serverSide, notify())
		r.server.send(serverSide, strings.Replace(notify(), "server1", "server2", 1))
		r.core.want("NOTIFY")
		r.core.want("NOTIFY")
		if n := r.s.table.Len(); n != 8 {
			t.Error(n, "records")
		}
		x.nothing()
		// Over UDP alone nothing is remembered, and nothing refused.
		r.core.send(coreSide, request("SUBSCRIBE", "sip:bob@ims.example", viaCore))
		r.server.want("SUBSCRIBE")
		r.pass(time.Minute)
		for r.server.poll() != "" { // retransmissions of what was not answered
		}
		send("SUBSCRIBE", "s8")
		r.server.want("SUBSCRIBE")
		if n := refused(t, reg, "overload"); n != "2" {
			t.Error(n, "are counted")
		}
	}, func(c *Config) { c.MaxTransactions = 8; c.Reg = reg })
}

// TestShedBytes counts what the records hold as well as how many there are.
func TestShedBytes(t *testing.T) {
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		body := strings.Repeat("x", 50_000)
		n := 0
		for ; n < 1000; n++ {
			msg := request("PUBLISH", "sip:bob@ims.example", viaTCP(fmt.Sprint("p", n)))
			x.send(strings.Replace(msg, "Content-Length: 0\n", "Content-Length: 50000\n\n"+body, 1))
			if got := x.poll(); got != "" {
				wantOverload(t, got, tooManyOpen)
				break
			}
			r.server.want("PUBLISH")
		}
		if n < 10 || n > 1<<20/50_000 {
			t.Error(n, "large requests are remembered")
		}
		r.pass(2 * time.Minute)
		if b := r.s.table.Usage(); b != 0 {
			t.Errorf("%d bytes are counted when all is over", b)
		}
	}, func(c *Config) { c.MaxTransactions = 100 })
}

// TestNextHopDoesNotRead refuses for a while what finds no room to leave, and does
// not take the server for down.
func TestNextHopDoesNotRead(t *testing.T) {
	play(t, func(r *rig) {
		accept := r.net.Listen(serverAddr)
		defer func() { _ = accept.Close() }()
		body := strings.Repeat("x", 50_000)
		for n := 0; ; n++ {
			msg := request("PUBLISH", "sip:bob@ims.example", strings.Replace(viaCore, "core1", fmt.Sprint("core", n), 1))
			r.core.send(coreSide, strings.Replace(msg, "Content-Length: 0\n", "Content-Length: 50000\n\n"+body, 1))
			if got := r.core.poll(); got != "" {
				wantOverload(t, got, tooMuchWaiting)
				break
			}
			if n > 1000 {
				t.Fatal("it all waits somewhere")
			}
		}
		if r.s.health.Down() {
			t.Error("the server is taken for down")
		}
	}, func(c *Config) { c.Server += ";transport=tcp" })
}

// TestNoMoreConnections is no failure of a NOTIFY: the server sends it again, and
// by then there may be room.
func TestNoMoreConnections(t *testing.T) {
	play(t, func(r *rig) {
		first, second := r.listen("10.0.0.3:5060"), r.listen("10.0.0.4:5060")
		to := func(addr, branch string) string {
			return request("NOTIFY", "sip:w@10.0.0.9", strings.Replace(viaServer, "server1", branch, 1), "Route: <sip:"+addr+";transport=tcp;lr>")
		}
		r.server.send(serverSide, to("10.0.0.3:5060", "b1"))
		x := first()
		x.send(reply(x.want("NOTIFY"), "200 OK"))
		r.server.want("SIP/2.0 200")
		r.server.send(serverSide, to("10.0.0.4:5060", "b2"))
		r.server.nothing()
		r.server.send(serverSide, strings.Replace(to("10.0.0.4:5060", "b3"), "NOTIFY", "MESSAGE", 2))
		wantOverload(t, r.server.poll(), tooMuchWaiting)
		if s := r.monitor.told(); strings.Contains(s, "unreachable") {
			t.Error(s)
		}
		_ = x.conn.Close()
		r.pass(100 * time.Millisecond)
		r.server.send(serverSide, to("10.0.0.4:5060", "b2"))
		second().want("NOTIFY")
	}, func(c *Config) { c.MaxStreams = 1 })
}

// TestTooManyParked refuses what there is no room to keep until its name is known;
// a NOTIFY is left to its retransmission.
func TestTooManyParked(t *testing.T) {
	play(t, func(r *rig) {
		large := func(method, branch string) string {
			msg := request(method, "sip:w@10.0.0.9", strings.Replace(viaServer, "server1", branch, 1), "Route: <sip:none.example;lr>")
			return strings.Replace(msg, "Content-Length: 0\n", "Content-Length: 60000\n\n"+strings.Repeat("x", 60_000), 1)
		}
		n := 0
		for ; n < 1000; n++ {
			r.server.send(serverSide, large("MESSAGE", fmt.Sprint("b", n)))
			if got := r.server.poll(); got != "" {
				wantOverload(t, got, tooManyParked)
				break
			}
		}
		if n < maxParkedBytes/70_000 || n > maxParkedBytes/60_000 {
			t.Error(n, "wait")
		}
		r.server.send(serverSide, large("NOTIFY", "n1"))
		r.server.nothing()
		if s := r.monitor.told(); strings.Contains(s, "unreachable") {
			t.Error(s)
		}
		r.names.learn("none.example", nil, "10.0.0.2:5060")
		if n := r.s.parking.len(); n != 0 || r.s.parking.bytes != 0 {
			t.Errorf("%d wait still, %d bytes", n, r.s.parking.bytes)
		}
		r.server.send(serverSide, large("NOTIFY", "n1"))
		for got := r.core.poll(); !strings.HasPrefix(got, "NOTIFY"); got = r.core.poll() {
			if got == "" {
				t.Fatal("the NOTIFY is not sent")
			}
		}
	})
}
