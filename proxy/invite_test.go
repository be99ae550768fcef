package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rewatch/proxy/transaction"
)

// caller and callee speak by UDP or TCP.
type talker interface {
	send(msg string)
	want(start string) string
	poll() string
	nothing()
}

type udpTalker struct {
	*peer

	to string
}

func (u udpTalker) send(msg string) { u.peer.send(u.to, msg) }

// pair makes a caller at the core and a callee at the server with these transports.
// The callee's end of a connection is there once something was sent.
func (r *rig) pair(in, out string) (caller talker, callee func() talker, via string) {
	caller, via = udpTalker{r.core, coreSide}, "SIP/2.0/UDP "+coreAddr
	if in == "tcp" {
		caller, via = r.dial("10.0.0.2", coreSide), "SIP/2.0/TCP "+coreAddr
	}
	if out == "udp" {
		return caller, func() talker { return udpTalker{r.server, serverSide} }, via
	}
	accept := r.listen(serverAddr)
	var x *connection
	return caller, func() talker {
		if x == nil {
			x = accept()
		}
		return x
	}, via
}

// TestInvite takes calls through, over all pairs of transports.
func TestInvite(t *testing.T) {
	for _, c := range [][2]string{{"udp", "udp"}, {"tcp", "udp"}, {"udp", "tcp"}, {"tcp", "tcp"}} {
		server := func(cfg *Config) { cfg.Server += ";transport=" + c[1] }
		stateful := c != [2]string{"udp", "udp"}
		name := c[0] + " to " + c[1]
		t.Run(name+", answered", func(t *testing.T) {
			play(t, func(r *rig) {
				caller, callee, via := r.pair(c[0], c[1])
				caller.send(request("INVITE", "sip:bob@ims.example", via+";branch=z9hG4bKi1"))
				if stateful {
					caller.want("SIP/2.0 100 Trying")
				}
				got := callee().want("INVITE")
				callee().send(reply(got, "100 Trying"))
				if !stateful {
					caller.want("SIP/2.0 100")
				}
				callee().send(reply(got, "180 Ringing"))
				caller.want("SIP/2.0 180")
				for range 3 { // the callee repeats a 2xx until its ACK
					callee().send(reply(got, "200 OK"))
					caller.want("SIP/2.0 200")
				}
				const dialog = "Route: <sip:" + coreSide + ";lr;rw>, <sip:" + serverSide + ";lr;rw>"
				target := "sip:bob@" + serverAddr + ";transport=" + c[1]
				to := "To: <sip:bob@ims.example>;tag=uas"
				caller.send(request("ACK", target, via+";branch=z9hG4bKi2", dialog, to))
				ack := callee().want("ACK")
				if ourBranch.FindString(ack) == ourBranch.FindString(got) {
					t.Error("the ACK of a 2xx is a transaction of its own")
				}
				caller.send(request("INVITE", target, via+";branch=z9hG4bKi3", dialog, to, "CSeq: 2 INVITE"))
				if stateful {
					caller.want("SIP/2.0 100 Trying")
				}
				again := callee().want("INVITE " + target)
				if strings.Contains(again, "Record-Route") {
					t.Error("a re-INVITE needs no Record-Route")
				}
				callee().send(reply(again, "200 OK"))
				caller.want("SIP/2.0 200")
				caller.send(request("BYE", target, via+";branch=z9hG4bKi4", dialog, to, "CSeq: 3 BYE"))
				callee().send(reply(callee().want("BYE"), "200 OK"))
				caller.want("SIP/2.0 200")
				caller.nothing()
				callee().nothing()
				r.pass(5 * time.Minute)
				if n := r.s.table.Len(); n != 0 {
					t.Error(n, "records are left")
				}
			}, server)
		})
		t.Run(name+", cancelled", func(t *testing.T) {
			play(t, func(r *rig) {
				caller, callee, via := r.pair(c[0], c[1])
				via += ";branch=z9hG4bKi1"
				caller.send(request("INVITE", "sip:bob@ims.example", via))
				if stateful {
					caller.want("SIP/2.0 100 Trying")
				}
				got := callee().want("INVITE")
				callee().send(reply(got, "180 Ringing"))
				caller.want("SIP/2.0 180")
				caller.send(request("CANCEL", "sip:bob@ims.example", via))
				cancel := callee().want("CANCEL")
				if ourBranch.FindString(cancel) != ourBranch.FindString(got) {
					t.Error("a CANCEL has the branch of its INVITE")
				}
				callee().send(reply(cancel, "200 OK"))
				caller.want("SIP/2.0 200")
				callee().send(reply(got, "487 Terminated"))
				caller.want("SIP/2.0 487")
				caller.send(request("ACK", "sip:bob@ims.example", via, "To: <sip:bob@ims.example>;tag=uas"))
				ack := callee().want("ACK")
				if ourBranch.FindString(ack) != ourBranch.FindString(got) {
					t.Error("the ACK of a failure has the branch of its INVITE")
				}
				r.pass(5 * time.Minute)
				caller.nothing()
				callee().nothing()
				if n := r.s.table.Len(); n != 0 {
					t.Error(n, "records are left")
				}
			}, server)
		})
	}
}

// TestInviteRetransmission repeats an INVITE until something is heard (Timer A),
// without the bound that Timer E has.
func TestInviteRetransmission(t *testing.T) {
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		start := time.Now()
		x.send(request("INVITE", "sip:bob@ims.example", viaTCP("i1")))
		x.want("SIP/2.0 100")
		got := r.server.want("INVITE")
		for _, ms := range []time.Duration{500, 1500, 3500, 7500, 15500} {
			r.pass(ms*time.Millisecond - time.Since(start) - 1)
			r.server.nothing()
			r.pass(2 * transaction.Tick)
			r.server.want("INVITE")
		}
		r.server.send(serverSide, reply(got, "180 Ringing"))
		x.want("SIP/2.0 180")
		r.pass(2 * time.Minute)
		r.server.nothing()
		r.server.send(serverSide, reply(got, "486 Busy"))
		x.want("SIP/2.0 486")
	})
}

// TestInviteUnanswered ends with 408 when nobody says anything, and a 2xx that
// comes all the same goes through.
func TestInviteUnanswered(t *testing.T) {
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		x.send(request("INVITE", "sip:bob@ims.example", viaTCP("i1")))
		x.want("SIP/2.0 100")
		got := r.server.want("INVITE")
		r.pass(33 * time.Second)
		x.want("SIP/2.0 408")
		r.server.send(serverSide, reply(got, "486 Busy"))
		x.nothing()
		r.server.send(serverSide, reply(got, "200 OK"))
		x.want("SIP/2.0 200")
	})
}

// TestInviteAnswerRepeated repeats the failure of an INVITE toward a client on UDP,
// which stopped asking at the 100, until its ACK (Timer G).
func TestInviteAnswerRepeated(t *testing.T) {
	play(t, func(r *rig) {
		accept := r.listen(serverAddr)
		msg := request("INVITE", "sip:bob@ims.example", viaCore)
		for range 2 { // the first 100 was lost
			r.core.send(coreSide, msg)
			r.core.want("SIP/2.0 100")
		}
		x := accept()
		got := x.want("INVITE")
		x.nothing()
		x.send(reply(got, "486 Busy"))
		first := r.core.want("SIP/2.0 486")
		start := time.Now()
		for _, ms := range []time.Duration{500, 1500, 3500} {
			r.pass(ms*time.Millisecond - time.Since(start) - 1)
			r.core.nothing()
			r.pass(2 * transaction.Tick)
			if again := r.core.poll(); again != first {
				t.Fatal(again)
			}
		}
		r.core.send(coreSide, request("ACK", "sip:bob@ims.example", viaCore, "To: <sip:bob@ims.example>;tag=uas"))
		x.want("ACK")
		r.pass(time.Minute)
		r.core.nothing()
		if n := r.s.table.Len(); n != 0 {
			t.Error(n, "records are left")
		}
	}, func(c *Config) { c.Server += ";transport=tcp" })
}

// TestCancelFollows goes to where the INVITE went, though that was for its size
// alone, and though the first hop was dead.
func TestCancelFollows(t *testing.T) {
	play(t, func(r *rig) {
		r.names.set("server.example", "10.1.0.3:5070", serverAddr)
		accept := r.listen(serverAddr)
		big := strings.Replace(request("INVITE", "sip:bob@ims.example", viaCore), "Content-Length: 0\n", "Content-Length: 1300\n\n"+strings.Repeat("x", 1300), 1)
		r.core.send(coreSide, big)
		r.core.want("SIP/2.0 100")
		x := accept()
		got := x.want("INVITE")
		x.send(reply(got, "100 Trying"))
		r.core.send(coreSide, request("CANCEL", "sip:bob@ims.example", viaCore))
		r.core.want("SIP/2.0 200")
		cancel := x.want("CANCEL")
		if a, b := branchOf(t, got), branchOf(t, cancel); a.Attempt == 0 || a != b {
			t.Error(a, b)
		}
		x.send(reply(got, "487 Terminated"))
		r.core.want("SIP/2.0 487")
		r.core.send(coreSide, request("ACK", "sip:bob@ims.example", viaCore, "To: <sip:bob@ims.example>;tag=uas"))
		x.want("ACK")
		r.server.nothing()
	}, func(c *Config) { c.Server = "sip:server.example" })
}

// TestCancelWaits for a response to its INVITE, which was lost at first: a CANCEL that
// comes before its INVITE would cancel nothing (RFC 3261 9.1).
func TestCancelWaits(t *testing.T) {
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		x.send(request("INVITE", "sip:bob@ims.example", viaTCP("i1")))
		x.want("SIP/2.0 100")
		r.server.want("INVITE")
		x.send(request("CANCEL", "sip:bob@ims.example", viaTCP("i1")))
		r.server.nothing()
		r.pass(500*time.Millisecond + transaction.Tick)
		got := r.server.want("INVITE")
		r.server.send(serverSide, reply(got, "100 Trying"))
		cancel := r.server.want("CANCEL")
		if branchOf(t, got) != branchOf(t, cancel) {
			t.Error("a CANCEL has the branch of its INVITE")
		}
		r.pass(2 * time.Second) // the CANCEL was lost
		r.server.want("CANCEL")
		for r.server.poll() != "" {
		}
		r.server.send(serverSide, reply(cancel, "200 OK"))
		x.want("SIP/2.0 200")
		r.server.send(serverSide, reply(got, "487 Request Terminated"))
		r.server.want("ACK")
		x.want("SIP/2.0 487")
		x.send(request("ACK", "sip:bob@ims.example", viaTCP("i1"), "To: <sip:bob@ims.example>;tag=uas"))
		r.pass(5 * time.Minute)
		r.server.nothing()
		if n := r.s.table.Len(); n != 0 {
			t.Error(n, "records are left")
		}
	})
}

// TestCancelIsAnswered at once with 200, whatever becomes of the INVITE (RFC 3261 16.10),
// and again when it is repeated; the answer of the callee goes no further. A CANCEL does
// not leave after the final response of its INVITE (9.1).
func TestCancelIsAnswered(t *testing.T) {
	const cancelled = "SIP/2.0 200 OK\r\n"
	for _, c := range [][2]string{{"tcp", "udp"}, {"udp", "tcp"}, {"tcp", "tcp"}} {
		for _, final := range []string{"487 Request Terminated", "200 OK", "603 Decline", ""} {
			for _, ringing := range []bool{true, false} {
				t.Run(fmt.Sprint(c, final, ringing), func(t *testing.T) {
					play(t, func(r *rig) {
						caller, callee, via := r.pair(c[0], c[1])
						via += ";branch=z9hG4bKi1"
						caller.send(request("INVITE", "sip:bob@ims.example", via))
						caller.want("SIP/2.0 100")
						got := callee().want("INVITE")
						if ringing {
							callee().send(reply(got, "180 Ringing"))
							caller.want("SIP/2.0 180")
						}
						caller.send(request("CANCEL", "sip:bob@ims.example", via))
						caller.want(cancelled)
						if ringing {
							callee().send(reply(callee().want("CANCEL"), "481 Never Heard Of"))
							caller.nothing()
						}
						if c[0] == "udp" {
							caller.send(request("CANCEL", "sip:bob@ims.example", via))
							caller.want(cancelled)
						}
						callee().nothing()
						if final == "" {
							return
						}
						callee().send(reply(got, final))
						caller.want("SIP/2.0 " + final[:3])
						if final[:3] != "200" {
							callee().want("ACK")
						}
						caller.send(request("ACK", "sip:bob@ims.example", via, "To: <sip:bob@ims.example>;tag=uas"))
						if final[:3] == "200" || c[0] == "udp" {
							_ = callee().poll()
						}
						caller.send(request("CANCEL", "sip:bob@ims.example", via))
						caller.want(cancelled)
						r.pass(5 * time.Minute)
						callee().nothing()
						if n := r.s.table.Len(); n != 0 {
							t.Error(n, "records are left")
						}
					}, func(cfg *Config) { cfg.Server += ";transport=" + c[1] })
				})
			}
		}
	}
}

// TestOwnFailureRepeated: the 408 or 503 of rewatch's own is sent again toward a client on
// UDP until its ACK comes (Timer G), which goes no further.
func TestOwnFailureRepeated(t *testing.T) {
	for _, status := range []string{"408", "503"} {
		play(t, func(r *rig) {
			accept := func() *connection { return nil }
			if status == "408" {
				accept = r.listen(serverAddr)
			}
			r.core.send(coreSide, request("INVITE", "sip:bob@ims.example", viaCore))
			r.core.want("SIP/2.0 100")
			if x := accept(); x != nil {
				x.want("INVITE")
				r.pass(32*time.Second + 2*transaction.Tick)
			}
			first := r.core.want("SIP/2.0 " + status)
			r.pass(500*time.Millisecond + 2*transaction.Tick)
			same(t, r.core.poll(), plain(first))
			r.pass(time.Second + 2*transaction.Tick)
			same(t, r.core.poll(), plain(first))
			tag := ourTag.FindString(first)
			r.core.send(coreSide, request("ACK", "sip:bob@ims.example", viaCore, "To: <sip:bob@ims.example>;"+tag))
			r.pass(time.Minute)
			r.core.nothing()
			r.server.nothing()
			if n := r.s.table.Len(); n != 0 {
				t.Error(n, "records are left")
			}
		}, func(c *Config) { c.Server += ";transport=tcp" })
	}
}

// TestAcknowledged sends the ACK of a 503 that leads to the next hop, and once more when
// that comes again; the ACK of one that is passed on is rewatch's too, because the
// client's is not repeated where it came by a stream.
func TestAcknowledged(t *testing.T) {
	play(t, func(r *rig) {
		r.names.set("server.example", "10.1.0.3:5070", serverAddr)
		first := r.peer("10.1.0.3:5070")
		x := r.dial("10.0.0.2", coreSide)
		x.send(request("INVITE", "sip:bob@ims.example", viaTCP("i1"), "Route: <sip:"+coreSide+";lr>"))
		x.want("SIP/2.0 100")
		refused := first.want("INVITE")
		first.send(serverSide, reply(refused, "503 Service Unavailable"))
		ack := first.want("ACK sip:bob@ims.example SIP/2.0")
		same(t, ack, crlf(`ACK sip:bob@ims.example SIP/2.0
Via: SIP/2.0/UDP `+serverSide+`;branch=OURS
Max-Forwards: 70
From: <sip:alice@ims.example>;tag=a
To: <sip:bob@ims.example>;tag=uas
Call-ID: c1
CSeq: 1 ACK
Content-Length: 0`))
		if branchOf(t, ack) != branchOf(t, refused) {
			t.Error("the ACK of a failure has the branch of its INVITE")
		}
		got := r.server.want("INVITE")
		first.send(serverSide, reply(refused, "503 Service Unavailable")) // the ACK was lost
		first.want("ACK")
		r.server.send(serverSide, reply(got, "486 Busy Here"))
		r.server.want("ACK")
		x.want("SIP/2.0 486")
		r.server.send(serverSide, reply(got, "486 Busy Here"))
		r.server.want("ACK")
		x.nothing()
		x.send(request("ACK", "sip:bob@ims.example", viaTCP("i1"), "To: <sip:bob@ims.example>;tag=uas"))
		r.server.nothing()
		first.nothing()
	}, func(c *Config) { c.Server = "sip:server.example" })
}

// TestTimestamp comes back in a 100 of rewatch's own, with the delay if there was one (RFC
// 3261 8.2.6.1). Who sends by a stream has its 100 while the name is looked up.
func TestTimestamp(t *testing.T) {
	for stamp, want := range map[string]string{"54": "54 1.500", " 54 0.2": "54 0.2"} {
		play(t, func(r *rig) {
			r.core.send(coreSide, request("INVITE", "sip:bob@ims.example", viaCore, "Timestamp: "+stamp))
			r.pass(1500 * time.Millisecond)
			r.core.nothing()
			_ = r.listen(serverAddr)
			r.names.learn("server.example", nil, "tcp/"+serverAddr)
			if got := r.core.want("SIP/2.0 100"); !strings.Contains(strings.Join(strings.Fields(got), " "), "Timestamp: "+want+" ") {
				t.Error(got)
			}
		}, func(c *Config) { c.Server = "sip:server.example" })
	}
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		x.send(request("INVITE", "sip:bob@ims.example", viaTCP("i1"), "Timestamp: 54"))
		if got := x.want("SIP/2.0 100"); !strings.Contains(got, "\r\nTimestamp: 54\r\n") {
			t.Error(got)
		}
		r.pass(1500 * time.Millisecond)
		r.names.learn("server.example", nil, serverAddr)
		r.server.want("INVITE")
		x.nothing()
		x.send(request("MESSAGE", "sip:bob@ims.example", viaTCP("m1"), "Timestamp: 54", "Call-ID: c2"))
		r.server.want("MESSAGE")
		r.pass(4 * time.Second)
		if got := x.want("SIP/2.0 100"); !strings.Contains(got, "\r\nTimestamp: 54 3.5") {
			t.Error(got)
		}
	}, func(c *Config) { c.Server = "sip:server.example" })
}
