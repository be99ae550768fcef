package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/transaction"
)

// overTCP is a NOTIFY of the server's that leaves for the core by TCP.
func overTCP(callID, branch string) string {
	m := strings.Replace(notify("Call-ID: "+callID), coreAddr+";lr", coreAddr+";transport=tcp;lr", 1)
	return strings.Replace(m, "server1", branch, 1)
}

// TestUnusableMessage: a message whose end is known and that is of no use otherwise is
// refused or dropped by itself. The connection, and what others have on it, goes on.
func TestUnusableMessage(t *testing.T) {
	lines := strings.Repeat("X: y\r\n", 1100)
	for _, c := range []struct{ name, fault, out string }{
		{"one length twice", "Content-Length: 0\r\nContent-Length: 0\r\n", "400 Bad Request (more than one Content-Length)"},
		{"two lengths", "Content-Length: 0\r\nl: 5\r\n", "400 Bad Request (more than one Content-Length)"},
		{"a header section of 1,100 fields", lines + "Content-Length: 0\r\n", "400 Bad Request (too many header lines)"},
		{"no CSeq", "Content-Length: 0\r\nCSeq: x\r\n", "400 Bad Request (more than one CSeq)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				accept := r.listen(coreAddr)
				r.server.send(serverSide, overTCP("c1", "s1"))
				x := accept()
				honest := x.want("NOTIFY")
				r.server.send(serverSide, overTCP("c2", "s2"))
				hostile := x.want("NOTIFY")
				spoil := func(m string) string { return strings.Replace(crlf(m), "Content-Length: 0\r\n", c.fault, 1) }
				_, _ = x.conn.Write([]byte(spoil(reply(hostile, "200 OK")) + spoil(request("MESSAGE", "sip:bob@ims.example", viaTCP("m1"))) +
					crlf(reply(honest, "200 OK"))))
				x.want("SIP/2.0 " + c.out + "\r\n")
				r.server.want("SIP/2.0 200 OK\r\nVia: " + strings.Replace(viaServer, "server1", "s1", 1))
				x.nothing()
				r.server.nothing()
				if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY c2; NOTIFY responded 200 late=false" {
					t.Error(s)
				}
			})
		})
	}
}

// TestOwnCloseJudgesNobody: where no next message can be found the connection has to end.
// What was under way on it goes on by another, as often as it takes, until it is answered
// or its own deadline comes.
func TestOwnCloseJudgesNobody(t *testing.T) {
	for _, answered := range []bool{true, false} {
		t.Run(fmt.Sprint("answered ", answered), func(t *testing.T) {
			play(t, func(r *rig) {
				r.monitor.verdict = gone
				accept := r.listen(coreAddr)
				r.server.send(serverSide, overTCP("c1", "s1"))
				first := ""
				closed := 0
				for start := time.Now(); time.Since(start) < 27*time.Second && (!answered || closed < 5); closed++ {
					x := accept()
					got := x.want("NOTIFY")
					if first == "" {
						first = got
					}
					if got != first {
						t.Fatalf("another request: %q", got)
					}
					_, _ = x.conn.Write([]byte("\x16\x03\x01 this is no SIP"))
					<-x.gone
					r.pass(4*time.Second + 2*transaction.Tick)
				}
				if r.s.routing.Bad.Has(netip.MustParseAddrPort(coreAddr), time.Now()) {
					t.Error("the hop is held to be bad")
				}
				want := "NOTIFY c1; NOTIFY timeout 0 late=false"
				if answered {
					x := accept()
					x.send(reply(x.want("NOTIFY"), "200 OK"))
					want = "NOTIFY c1; NOTIFY responded 200 late=false"
				}
				r.pass(30 * time.Second)
				if s := r.monitor.told(); s != want {
					t.Error(s)
				}
				if closed > 10 {
					t.Error(closed, "connections in half a minute")
				}
			})
		})
	}
}

// TestOwnRequestInterrupted: a request of our own is to be sent again as well, and its hop
// is not called unreachable.
func TestOwnRequestInterrupted(t *testing.T) {
	var interrupted, lost atomic.Int32
	play(t, func(r *rig) {
		accept := r.listen(coreAddr)
		to := coreHop("tcp", netip.MustParseAddrPort(coreAddr))
		via := "SIP/2.0/TCP " + coreSide + ";branch=z9hG4bK-own-1;rport"
		if err := r.s.Own.Send(dialogs.Core, to, []byte(crlf(request("MESSAGE", "sip:alice@ims.example", via))), false); err != nil {
			t.Fatal(err)
		}
		x := accept()
		x.want("MESSAGE")
		_, _ = x.conn.Write([]byte("\x00"))
		<-x.gone
		r.pass(time.Second)
		if interrupted.Load() != 1 || lost.Load() != 0 {
			t.Errorf("%d are interrupted, %d lost", interrupted.Load(), lost.Load())
		}
	}, func(c *Config) {
		c.Own.Branch = "z9hG4bK-own-"
		c.Own.Interrupted = func([]byte) { interrupted.Add(1) }
		c.Own.Unreachable = func([]byte) { lost.Add(1) }
	})
}

// TestProbeIsAlone: it has a connection of its own, which is closed after a while.
func TestProbeIsAlone(t *testing.T) {
	play(t, func(r *rig) {
		accept := r.listen(coreAddr)
		r.server.send(serverSide, overTCP("c1", "s1"))
		x := accept()
		x.want("NOTIFY")
		to := coreHop("tcp", netip.MustParseAddrPort(coreAddr))
		via := "SIP/2.0/TCP " + coreSide + ";branch=z9hG4bK-own-1;rport"
		if err := r.s.Own.Send(dialogs.Core, to, []byte(crlf(request("OPTIONS", "sip:core", via))), true); err != nil {
			t.Fatal(err)
		}
		x.nothing()
		y := accept()
		y.want("OPTIONS")
		r.server.send(serverSide, overTCP("c2", "s2"))
		x.want("NOTIFY")
		y.nothing()
		r.pass(5 * time.Second)
		<-y.gone
		select {
		case <-x.gone:
			t.Error("the other one is closed as well")
		default:
		}
	})
}

// TestSinkDelaysNobody: a peer that reads nothing holds up neither those who are served
// by the same connection, nor for long what is for itself.
func TestSinkDelaysNobody(t *testing.T) {
	const sink = "10.0.0.66:5060"
	play(t, func(r *rig) {
		l := r.net.Listen(sink)
		defer func() { _ = l.Close() }()
		r.monitor.verdict = gone
		x := r.dial("10.1.0.2", serverSide)
		start := time.Now()
		body := strings.Repeat("x", 60_000)
		toSink := func(n int) string {
			m := request("NOTIFY", "sip:w@10.0.0.9", fmt.Sprintf("SIP/2.0/TCP %s;branch=z9hG4bKsink%d", serverAddr, n), "Route: <sip:"+sink+";transport=tcp;lr>")
			return strings.Replace(m, "Content-Length: 0\n", "Content-Length: 60000\n\n"+body, 1)
		}
		for n := range 200 { // far more than its share of what may wait
			x.send(toSink(n))
		}
		x.send(notify())
		r.core.send(coreSide, reply(r.core.want("NOTIFY"), "200 OK"))
		if took := time.Since(start); took > 0 {
			t.Errorf("the others had to wait for %v", took)
		}
		if s := r.monitor.told(); strings.Contains(s, "unreachable") || !strings.HasSuffix(s, "responded 200 late=false") {
			t.Error(s)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		y := r.connection(conn) // now it reads
		r.pass(5 * time.Second)
		got := map[string]bool{}
		for m := y.poll(); m != ""; m = y.poll() {
			got[ourBranch.FindString(m)] = true
		}
		if len(got) != 200 {
			t.Error(len(got), "of 200 have come since it reads")
		}
	})
}
