package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
	"rewatch/proxy/socket"
	"rewatch/proxy/transaction"
	"rewatch/proxy/wire"
)

// viaTCP is a neighbour's Via over TCP.
func viaTCP(branch string) string { return "SIP/2.0/TCP 10.0.0.2:5060;branch=z9hG4bK" + branch }

// TestTCPToUDP retransmits in the place of a client that does not (Timer E), and
// stops at the response.
func TestTCPToUDP(t *testing.T) {
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		start := time.Now()
		x.send(request("MESSAGE", "sip:bob@ims.example", viaTCP("m1")))
		got := r.server.want("MESSAGE")
		at := []time.Duration{500, 1500, 3500, 7500, 11500}
		for _, ms := range at {
			r.pass(ms*time.Millisecond - time.Since(start) - 1)
			r.server.nothing()
			r.pass(2 * transaction.Tick)
			if again := r.server.want("MESSAGE"); again != got {
				t.Fatal("a retransmission is another message")
			}
		}
		x.want("SIP/2.0 100 Trying")                                    // after 3.5 s
		x.send(request("MESSAGE", "sip:bob@ims.example", viaTCP("m1"))) // it should not, and is absorbed
		r.server.nothing()
		r.server.send(serverSide, reply(got, "200 OK"))
		x.want("SIP/2.0 200 OK\r\nVia: " + viaTCP("m1"))
		r.pass(time.Minute)
		r.server.nothing()
		x.nothing()
		if n := r.s.table.Len(); n != 0 {
			t.Error(n, "records are left")
		}
	})
}

// TestTimeoutIsSilent sends no 408 to a non-INVITE (RFC 4320).
func TestTimeoutIsSilent(t *testing.T) {
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		x.send(request("MESSAGE", "sip:bob@ims.example", viaTCP("m1")))
		r.pass(2 * time.Minute)
		x.want("SIP/2.0 100")
		x.nothing()
		n := 0
		for r.server.poll() != "" {
			n++
		}
		if n != 11 { // RFC 3261 17.1.2.2
			t.Error(n, "datagrams")
		}
	})
}

// TestUDPToTCP absorbs retransmissions, since the stream loses nothing, and repeats
// the response; both directions get a Content-Length.
func TestUDPToTCP(t *testing.T) {
	play(t, func(r *rig) {
		accept := r.listen(coreAddr)
		msg := strings.Replace(notify("Route: <sip:"+coreAddr+";transport=tcp;lr>"), "Route: <sip:"+serverSide+";lr;rw>, <sip:"+coreSide+";lr;rw>, <sip:"+coreAddr+";lr>\n", "", 1)
		msg = strings.Replace(msg, "Content-Length: 0\n", "\nbody", 1)
		for range 3 {
			r.server.send(serverSide, msg)
		}
		x := accept()
		got := x.want("NOTIFY")
		if !strings.HasSuffix(got, "\r\nContent-Length: 4\r\n\r\nbody") {
			t.Error(got)
		}
		if !strings.Contains(got, "Record-Route: <sip:"+coreSide+";transport=tcp;lr;rw>\r\nRecord-Route: <sip:"+serverSide+";lr;rw>\r\n") {
			t.Error(got)
		}
		x.nothing()
		x.send(reply(got, "200 OK"))
		first := r.server.want("SIP/2.0 200")
		for range 3 {
			r.server.send(serverSide, msg)
			if again := r.server.poll(); again != first {
				t.Error(again)
			}
		}
		if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY responded 200 late=false" {
			t.Error(s)
		}
		x.nothing()
	})
}

// large is a NOTIFY beyond 1300 bytes once our own fields are in it.
func large(branch string) string {
	return strings.Replace(strings.Replace(notify(), "server1", branch, 1), "Content-Length: 0\n", "Content-Length: 950\n\n"+strings.Repeat("x", 950), 1)
}

// TestLarge leaves by TCP where that is taken, else by UDP, and remembers for a while.
func TestLarge(t *testing.T) {
	t.Run("taken", func(t *testing.T) {
		play(t, func(r *rig) {
			accept := r.listen(coreAddr)
			r.server.send(serverSide, large("b1"))
			x := accept()
			got := x.want("NOTIFY")
			if len(got) <= maxUDP || !strings.Contains(got, "Record-Route: <sip:"+coreSide+";lr;rw>") {
				t.Error(len(got), got)
			}
			x.send(reply(got, "200 OK"))
			r.server.want("SIP/2.0 200")
			r.core.nothing()
		})
	})
	t.Run("refused", func(t *testing.T) {
		play(t, func(r *rig) {
			r.server.send(serverSide, large("b1"))
			got := r.core.want("NOTIFY")
			if len(got) <= maxUDP {
				t.Error(len(got))
			}
			r.server.send(serverSide, large("b1"))
			r.core.want("NOTIFY") // now as any other over UDP
			r.core.send(coreSide, reply(got, "200 OK"))
			r.server.want("SIP/2.0 200")
			// TCP is not asked again within 30 s, and is after that.
			accept := r.listen(coreAddr)
			r.server.send(serverSide, large("b2"))
			r.core.want("NOTIFY")
			r.pass(31 * time.Second)
			r.server.send(serverSide, large("b3"))
			accept().want("NOTIFY")
			if s := r.monitor.told(); strings.Contains(s, "unreachable") {
				t.Error(s)
			}
		})
	})
	t.Run("swallowed", func(t *testing.T) {
		play(t, func(r *rig) {
			r.net.Blackhole(coreAddr)
			r.server.send(serverSide, large("b1"))
			r.core.nothing()
			r.pass(5 * time.Second)
			r.core.want("NOTIFY")
		})
	})
	t.Run("refused by the server, which is not down for that", func(t *testing.T) {
		play(t, func(r *rig) {
			msg := strings.Replace(request("PUBLISH", "sip:bob@ims.example", viaCore), "Content-Length: 0\n", "Content-Length: 1300\n\n"+strings.Repeat("x", 1300), 1)
			r.core.send(coreSide, msg)
			r.server.want("PUBLISH")
			r.core.send(coreSide, request("SUBSCRIBE", "sip:bob@ims.example", viaCore))
			r.server.want("SUBSCRIBE")
		})
	})
}

// TestSixtyKilobytes goes by UDP both ways, where nothing else is there.
func TestSixtyKilobytes(t *testing.T) {
	play(t, func(r *rig) {
		body := strings.Repeat("0123456789abcdef", 60000/16)
		msg := strings.Replace(notify(), "Content-Length: 0\n", "Content-Length: 60000\n\n"+body, 1)
		r.server.send(serverSide, msg)
		got := r.core.want("NOTIFY")
		if !strings.HasSuffix(got, "\r\n\r\n"+body) {
			t.Error(len(got))
		}
		r.core.send(coreSide, strings.Replace(reply(got, "200 OK"), "Content-Length: 0\n", "Content-Length: 60000\n\n"+body, 1))
		if got := r.server.want("SIP/2.0 200"); !strings.HasSuffix(got, "\r\n\r\n"+body) {
			t.Error(len(got))
		}
	})
}

// TestOrderlyClose sends once more when a connection ends, which may have been
// idle, and then waits: the peer may answer by a connection of its own.
func TestOrderlyClose(t *testing.T) {
	for _, answers := range []bool{true, false} {
		play(t, func(r *rig) {
			r.monitor.verdict = gone
			accept := r.listen(coreAddr)
			r.server.send(serverSide, strings.Replace(notify(), coreAddr+";lr", coreAddr+";transport=tcp;lr", 1))
			x := accept()
			x.want("NOTIFY")
			_ = x.conn.Close()
			y := accept()
			got := y.want("NOTIFY")
			_ = y.conn.Close()
			r.pass(2 * time.Second)
			r.server.nothing()
			want := "NOTIFY c1; NOTIFY timeout 0 late=false"
			if answers {
				z := r.dial("10.0.0.2", coreSide)
				z.send(reply(got, "200 OK"))
				r.server.want("SIP/2.0 200")
				want = "NOTIFY c1; NOTIFY responded 200 late=false"
			} else {
				r.pass(27 * time.Second)
				r.server.want("SIP/2.0 100")
				r.server.want("SIP/2.0 481")
			}
			if s := r.monitor.told(); s != want {
				t.Error(s)
			}
		})
	}
}

// TestOwnUnreachable tells of requests of our own that do not arrive: by ICMP, and
// by a connection that does not come to stand.
func TestOwnUnreachable(t *testing.T) {
	var lost sync.Map
	play(t, func(r *rig) {
		_ = r.core.conn.Close()
		for _, transport := range []string{"udp", "tcp"} {
			via := "SIP/2.0/" + strings.ToUpper(transport) + " " + coreSide + ";branch=z9hG4bK-own-" + transport + ";rport"
			err := r.s.Own.Send(dialogs.Core, coreHop(transport, netip.MustParseAddrPort(coreAddr)),
				[]byte(crlf(request("MESSAGE", "sip:alice@ims.example", via))), false)
			if err != nil { // the dial had failed already
				lost.Store("z9hG4bK-own-"+transport, true)
			}
			r.pass(time.Second)
		}
		for _, b := range []string{"z9hG4bK-own-udp", "z9hG4bK-own-tcp"} {
			if _, ok := lost.Load(b); !ok {
				t.Errorf("%s is not told of", b)
			}
		}
	}, func(c *Config) {
		c.Own.Branch = "z9hG4bK-own-"
		c.Own.Unreachable = func(b []byte) { lost.Store(string(b), true) }
	})
}

// TestResponseWithoutStream opens a connection to where the Via says, when the one
// that the request came by is gone (RFC 3261 18.2.2).
func TestResponseWithoutStream(t *testing.T) {
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		x.send(request("MESSAGE", "sip:bob@ims.example", viaTCP("m1")))
		got := r.server.want("MESSAGE")
		_ = x.conn.Close()
		x.nothing()
		accept := r.listen(coreAddr)
		r.server.send(serverSide, reply(got, "200 OK"))
		accept().want("SIP/2.0 200 OK\r\nVia: " + viaTCP("m1"))
	})
}

// TestResponseQueuedAtTheEnd: a response that waits in the queue of a connection when that ends
// goes by one other connection, as if the first had ended before. It asks for no third one.
func TestResponseQueuedAtTheEnd(t *testing.T) {
	for _, reads := range []bool{true, false} {
		reg := prometheus.NewRegistry()
		play(t, func(r *rig) {
			c, err := r.net.Dial(context.Background(), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddrPort(coreSide))
			if err != nil {
				t.Fatal(err)
			}
			branches := []string{"m1", "m2"}
			for _, b := range branches {
				_, _ = c.Write([]byte(crlf(request("MESSAGE", "sip:bob@ims.example", viaTCP(b)))))
				r.server.send(serverSide, reply(r.server.want("MESSAGE"), "200 OK")) // which the core does not read
			}
			l := r.net.Listen(coreAddr)
			r.closers(l)
			_ = c.Close()
			second, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if !reads {
				_ = second.Close()
				r.pass(time.Minute)
				if got := shown(t, reg, "rewatch_dropped_total"); !strings.Contains(got, "stream 2") || r.s.sockets.Streams[dialogs.Core].Len() > 0 {
					t.Error(got)
				}
				return
			}
			x := r.connection(second)
			for _, b := range branches {
				x.want("SIP/2.0 200 OK\r\nVia: " + viaTCP(b))
			}
		}, func(c *Config) { c.Reg = reg })
	}
}

// TestResponseToNameOverTLS: the peer of the new TLS connection has to be the one that the Via names.
func TestResponseToNameOverTLS(t *testing.T) {
	for sentBy, want := range map[string]string{"scscf.ims.example:5061": "scscf.ims.example", "10.0.0.2:5061": "", "[fd00::2]": ""} {
		playWith(t, []string{"core tls 10.0.0.1:5061"}, func(r *rig) {
			x := r.dial("10.0.0.2", "10.0.0.1:5061")
			x.send(request("MESSAGE", "sip:bob@ims.example", "SIP/2.0/TLS "+sentBy+";branch=z9hG4bKm1"))
			got := r.server.want("MESSAGE")
			_ = x.conn.Close()
			x.nothing()
			l := r.net.Listen("10.0.0.2:5061")
			r.closers(l)
			r.server.send(serverSide, reply(got, "200 OK"))
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			asked := "no handshake"
			_ = tls.Server(c, &tls.Config{
				MinVersion: tls.VersionTLS12,
				GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					asked = hello.ServerName
					return nil, errors.New("that is all")
				},
			}).Handshake()
			_ = c.Close()
			if asked != want {
				t.Errorf("%s: asked for %q", sentBy, asked)
			}
		})
	}
}

// TestStreamsMeet takes a request in by TCP and sends it out by TCP.
func TestStreamsMeet(t *testing.T) {
	play(t, func(r *rig) {
		accept := r.listen(serverAddr)
		x := r.dial("10.0.0.2", coreSide)
		x.send(request("PUBLISH", "sip:bob@ims.example", viaTCP("m1")))
		y := accept()
		y.send(reply(y.want("PUBLISH"), "200 OK"))
		x.want("SIP/2.0 200 OK\r\nVia: " + viaTCP("m1"))
	}, func(c *Config) { c.Server += ";transport=tcp" })
}

// TestOnlyUDP has no sockets for streams: nothing that a message asks for can make
// one, nor stumble over its absence.
func TestOnlyUDP(t *testing.T) {
	play(t, func(r *rig) {
		r.server.send(serverSide, strings.Replace(notify(), coreAddr+";lr", coreAddr+";transport=tcp;lr", 1))
		if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY unreachable 0 late=false" {
			t.Error(s)
		}
		r.core.send(coreSide, request("MESSAGE", "sip:bob@ims.example", viaCore))
		ok := reply(r.server.want("MESSAGE"), "200 OK")
		b := ourBranch.FindString(ok)
		r.server.send(serverSide, strings.Replace(ok, b, b+"-7", 1))
		r.core.nothing()
		r.server.send(serverSide, ok)
		r.core.want("SIP/2.0 200")
	}, func(c *Config) {
		var list []socket.Listener
		for _, l := range c.Listeners {
			if l.Packet != nil {
				list = append(list, l)
			} else {
				_ = l.Stream.Close()
			}
		}
		c.Listeners = list
	})
}

// TestServerTCPDown knows at once that a server by TCP is away.
func TestServerTCPDown(t *testing.T) {
	play(t, func(r *rig) {
		r.core.send(coreSide, request("SUBSCRIBE", "sip:bob@ims.example", viaCore))
		r.core.want("SIP/2.0 503")
		if up, why := r.s.ServerUp(); up || !strings.Contains(why, serverAddr) {
			t.Error(up, why) // refused, or closed already when written to
		}
	}, func(c *Config) { c.Server += ";transport=tcp" })
}

// TestShutdownWithStreams leaves no goroutine behind: synctest would tell.
func TestShutdownWithStreams(t *testing.T) {
	play(t, func(r *rig) {
		r.net.Blackhole(coreAddr)
		x := r.dial("10.0.0.2", coreSide)
		x.send("MESSAGE sip:half")
		r.server.send(serverSide, large("b1")) // a dial under way
		r.server.nothing()
	})
}

// TestSend sends a request of our own by the socket of a side.
func TestSend(t *testing.T) {
	var mine []string
	play(t, func(r *rig) {
		accept := r.listen(coreAddr)
		hop, _ := route.Literal([]byte("sip:" + coreAddr))
		for _, transport := range []string{"udp", "tcp"} {
			sentBy, ok := r.s.Own.SentBy(dialogs.Core, coreHop(transport, hop.Addr))
			if !ok || sentBy != coreSide {
				t.Fatal(sentBy)
			}
			via := "SIP/2.0/" + strings.ToUpper(transport) + " " + sentBy + ";branch=z9hG4bK-own-1"
			if err := r.s.Own.Send(dialogs.Core, coreHop(transport, hop.Addr), []byte(crlf(request("OPTIONS", "sip:x@y", via))), false); err != nil {
				t.Fatal(err)
			}
			if transport == "udp" {
				r.core.send(coreSide, reply(r.core.want("OPTIONS"), "200 OK"))
			} else {
				x := accept()
				x.send(reply(x.want("OPTIONS"), "404 Not Found"))
			}
		}
		if len(mine) != 2 || !strings.HasPrefix(mine[0], "SIP/2.0 200") || !strings.HasPrefix(mine[1], "SIP/2.0 404") {
			t.Error(mine)
		}
		if _, ok := r.s.Own.SentBy(dialogs.Core, coreHop("tls", netip.AddrPort{})); ok {
			t.Error("there is no TLS socket")
		}
		if err := r.s.Own.Send(dialogs.Core, coreHop("tls", hop.Addr), nil, false); err == nil {
			t.Error("there is no TLS socket")
		}
	}, func(c *Config) {
		c.Own.Branch = "z9hG4bK-own-"
		c.Own.Response = func(raw []byte) bool {
			mine = append(mine, string(raw))
			return true
		}
	})
}

// coreHop is a hop of the core by the name of its transport.
func coreHop(transport string, addr netip.AddrPort) resolve.Hop {
	over, _ := wire.ParseTransport([]byte(transport))
	return resolve.Hop{Transport: over, Addr: addr}
}
