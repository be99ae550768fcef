package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/proxy/draft"
	"rewatch/proxy/transport/transporttest"
)

// refuse makes the kernel refuse what goes to an address.
func (r *rig) refuse(err error, to ...string) {
	r.net.SetRefusal(func(d transporttest.Datagram) error {
		for _, a := range to {
			if d.To == netip.MustParseAddrPort(a) {
				return err
			}
		}
		return nil
	})
}

// tooLong makes the kernel refuse what is longer and leaves by one of our sockets.
func (r *rig) tooLong(most int) {
	r.net.SetRefusal(func(d transporttest.Datagram) error {
		ours := d.From.String() == coreSide || d.From.String() == serverSide
		if ours && len(d.Bytes) > most {
			return syscall.EMSGSIZE
		}
		return nil
	})
}

// viaUDP is a neighbour's Via over UDP.
func viaUDP(branch string) string { return "SIP/2.0/UDP " + coreAddr + ";branch=z9hG4bK" + branch }

// TestKernelRefusesNotify: the hop has failed at once, and with the last one the NOTIFY.
func TestKernelRefusesNotify(t *testing.T) {
	const second = "10.0.0.3:5060"
	msg := strings.Replace(notify(), coreAddr, "core.example", 1)
	for _, errno := range []syscall.Errno{syscall.ENETUNREACH, syscall.EPERM, syscall.EHOSTUNREACH, syscall.EINVAL} {
		t.Run(errno.Error(), func(t *testing.T) {
			play(t, func(r *rig) {
				r.names.set("core.example", coreAddr, second)
				other := r.peer(second)
				r.refuse(errno, coreAddr)
				r.server.send(serverSide, msg)
				got := other.want("NOTIFY")
				other.send(coreSide, reply(got, "200 OK"))
				r.server.want("SIP/2.0 200")
				r.monitor.told()
				r.monitor.verdict = gone
				r.refuse(errno, coreAddr, second)
				r.server.send(serverSide, strings.Replace(msg, "server1", "server2", 1))
				r.server.want("SIP/2.0 481")
				if s := r.monitor.told(); !strings.HasSuffix(s, "NOTIFY unreachable 0 late=false") {
					t.Error(s)
				}
			})
		})
	}
}

// TestOtherTransport: where DNS offers a server by several transports, one that is refused
// leads to the next (RFC 3263 4.3), and the last to the verdict.
func TestOtherTransport(t *testing.T) {
	msg := strings.Replace(notify(), coreAddr, "core.example", 1)
	play(t, func(r *rig) {
		r.names.set("core.example", coreAddr, "tcp/"+coreAddr)
		accept := r.listen(coreAddr)
		r.refuse(syscall.EHOSTUNREACH, coreAddr)
		r.server.send(serverSide, msg)
		x := accept()
		x.send(reply(x.want("NOTIFY"), "200 OK"))
		r.server.want("SIP/2.0 200")
	})
	play(t, func(r *rig) {
		r.names.set("core.example", coreAddr, "tcp/"+coreAddr)
		r.monitor.verdict = gone
		r.refuse(syscall.EPERM, coreAddr)
		r.server.send(serverSide, msg) // nobody listens by TCP
		r.server.want("SIP/2.0 481")
	})
}

// TestEitherTransport: where nothing names a transport, TCP is tried for what UDP does not
// take: for a NOTIFY at once, and once more for one that is delivered again. Where UDP is
// named it has failed.
func TestEitherTransport(t *testing.T) {
	for _, c := range []struct {
		name, uri string
		err       error // nil: ICMP
		over      bool
	}{
		{"no route", coreAddr, syscall.ENETUNREACH, true},
		{"firewall", coreAddr, syscall.EPERM, true},
		{"ICMP", coreAddr, nil, true},
		{"default port", "10.0.0.2", syscall.EPERM, true},
		{"udp is named", coreAddr + ";transport=udp", syscall.EPERM, false},
		{"udp is named, ICMP", coreAddr + ";transport=UDP", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				r.monitor.verdict = gone
				accept := r.listen(coreAddr)
				if c.err != nil {
					r.refuse(c.err, coreAddr)
				} else {
					_ = r.core.conn.Close()
				}
				r.server.send(serverSide, strings.Replace(notify(), coreAddr+";lr", c.uri+";lr", 1))
				if !c.over {
					r.server.want("SIP/2.0 481")
					return
				}
				x := accept()
				got := x.want("NOTIFY")
				if !strings.Contains(got, "Via: SIP/2.0/TCP "+coreSide) {
					t.Error(got)
				}
				x.send(reply(got, "200 OK"))
				r.server.want("SIP/2.0 200")
				r.server.send(serverSide, strings.NewReplacer("server1", "server2", coreAddr+";lr", c.uri+";lr").Replace(notify()))
				x.want("NOTIFY") // and it is known for a while
			}, retrying)
		})
	}
}

// TestEitherTransportLater: a request of which nothing is remembered goes by TCP when it
// comes again, and after it the others, as long as that is accepted.
func TestEitherTransportLater(t *testing.T) {
	play(t, func(r *rig) {
		accept := r.listen(coreAddr)
		r.refuse(syscall.EPERM, coreAddr)
		message := request("MESSAGE", "sip:bob@ims.example", viaServer, "Route: <sip:"+coreAddr+";lr>")
		r.server.send(serverSide, message)
		r.server.nothing()
		r.server.send(serverSide, message)
		x := accept()
		x.send(reply(x.want("MESSAGE"), "200 OK"))
		r.server.want("SIP/2.0 200")
		r.server.send(serverSide, strings.Replace(message, "server1", "server2", 1))
		x.want("MESSAGE")
		r.pass(31 * time.Second)
		r.refuse(nil)
		r.server.send(serverSide, strings.Replace(message, "server1", "server3", 1))
		r.core.want("MESSAGE") // by UDP again
	})
}

// TestNoRoomIsNoFailure: a socket buffer that is full says nothing of the hop; the
// server sends again.
func TestNoRoomIsNoFailure(t *testing.T) {
	play(t, func(r *rig) {
		r.refuse(syscall.ENOBUFS, coreAddr)
		r.server.send(serverSide, notify())
		r.server.nothing()
		r.net.SetRefusal(nil)
		r.server.send(serverSide, notify())
		r.core.send(coreSide, reply(r.core.want("NOTIFY"), "200 OK"))
		r.server.want("SIP/2.0 200")
	})
}

// TestKernelRefusesRequest: what has no record is answered 503, once its retransmission
// has had its chance with another hop.
func TestKernelRefusesRequest(t *testing.T) {
	const second = "10.1.0.3:5070"
	toSecond := func(c *Config) { c.Server = "sip:server.example" }
	subscribe := request("SUBSCRIBE", "sip:bob@ims.example", viaUDP("s1"))
	play(t, func(r *rig) {
		r.names.set("server.example", serverAddr, second)
		other := r.peer(second)
		r.refuse(syscall.ENETUNREACH, serverAddr)
		r.core.send(coreSide, subscribe)
		r.core.nothing()
		r.core.send(coreSide, subscribe)
		other.want("SUBSCRIBE")
		r.refuse(syscall.ENETUNREACH, serverAddr, second)
		other2 := strings.Replace(subscribe, "s1", "s2", 1)
		r.core.send(coreSide, other2)
		r.core.send(coreSide, other2)
		r.core.want("SIP/2.0 503 Presence Server Unavailable") // neither is left
	}, toSecond)
	play(t, func(r *rig) {
		r.refuse(syscall.ENETUNREACH, coreAddr)
		message := request("MESSAGE", "sip:bob@ims.example", viaServer, "Route: <sip:"+coreAddr+";transport=udp;lr>")
		r.server.send(serverSide, message)
		r.server.nothing()
		r.pass(500 * time.Millisecond)
		r.server.send(serverSide, message)
		got := r.server.want("SIP/2.0 503 Next Hop Unreachable\r\nVia: " + viaServer)
		if strings.Contains(got, string(draft.BranchStart)) {
			t.Error(got)
		}
	})
}

// TestBatchIsRefused: of requests that are refused together none is answered 503, because each
// has a retransmission, which goes another way; one that is refused later is.
func TestBatchIsRefused(t *testing.T) {
	play(t, func(r *rig) {
		var left []string
		for i := range 3 {
			r.core.send(coreSide, strings.Replace(request("REGISTER", "sip:server.example", viaUDP(fmt.Sprint("r", i))), "c1", fmt.Sprint("c", i), 1))
			left = append(left, r.server.want("REGISTER"))
		}
		refuse := func(i int) {
			r.s.undelivered(netip.MustParseAddrPort(serverAddr), []byte(left[i]), syscall.EPERM)
			synctest.Wait()
		}
		refuse(0)
		refuse(1)
		r.core.nothing()
		r.pass(500 * time.Millisecond)
		refuse(2)
		r.core.want("SIP/2.0 503 Next Hop Unreachable\r\nVia: " + viaUDP("r2"))
	})
}

// TestServerWithoutUDP: a server whose UDP alone is refused is served by TCP, and is not down;
// one that refuses both is.
func TestServerWithoutUDP(t *testing.T) {
	for name, c := range map[string]struct{ either, tcp bool }{"UDP alone": {true, true}, "both": {true, false}, "UDP is named": {false, true}} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			play(t, func(r *rig) {
				r.server.want("\r\n\r\n")
				r.pass(time.Second)
				var accept func() *connection
				if c.tcp {
					accept = r.listen(serverAddr)
				}
				_ = r.server.conn.Close()
				r.core.send(coreSide, subscribeNumber("1"))
				synctest.Wait()
				if !c.either || !c.tcp {
					r.up(false, serverAddr)
					r.core.send(coreSide, subscribeNumber("1"))
					r.core.want("SIP/2.0 503 Presence Server Unavailable")
					return
				}
				r.up(true, "")
				r.core.send(coreSide, subscribeNumber("1")) // again
				x := accept()
				x.send(reply(x.want("SUBSCRIBE"), "200 OK", "Expires: 600"))
				r.core.want("SIP/2.0 200")
				for i := range 60 { // its pings are refused, too
					r.pass(time.Second)
					r.up(true, "")
					if i%10 == 9 {
						r.core.send(coreSide, subscribeNumber(fmt.Sprint(i)))
						x.send(reply(x.want("SUBSCRIBE"), "200 OK", "Expires: 600"))
						r.core.want("SIP/2.0 200")
					}
				}
			}, care(&asked, new(atomic.Bool)), func(cfg *Config) {
				if !c.either {
					cfg.Server += ";transport=udp"
				}
			})
		})
	}
}

// TestTooLong: 513 says it of the message; neither the hop nor the server is bad, nor
// has a watcher failed.
func TestTooLong(t *testing.T) {
	play(t, func(r *rig) {
		r.tooLong(65507)
		body := strings.Repeat("x", 70000)
		x := r.dial("10.0.0.2", coreSide)
		x.send(strings.Replace(request("PUBLISH", "sip:bob@ims.example", viaTCP("p1")), "Content-Length: 0\n", "Content-Length: 70000\n\n"+body, 1))
		x.want("SIP/2.0 513 Message Too Large\r\nVia: " + viaTCP("p1"))
		if r.s.health.Down() {
			t.Error("the server is held to be down")
		}
		r.tooLong(2000) // as of a link that does not fragment
		big := strings.Replace(notify(), "Content-Length: 0\n", "Content-Length: 3000\n\n"+body[:3000], 1)
		r.server.send(serverSide, big)
		r.server.want("SIP/2.0 513 Message Too Large")
		if s := r.monitor.told(); s != "NOTIFY c1" {
			t.Error(s)
		}
		r.core.send(coreSide, strings.Replace(request("MESSAGE", "sip:bob@ims.example", viaUDP("m1")), "Content-Length: 0\n", "Content-Length: 3000\n\n"+body[:3000], 1))
		r.core.want("SIP/2.0 513")
		if r.s.routing.Bad.Has(netip.MustParseAddrPort(serverAddr), time.Now()) || r.s.routing.Bad.Has(netip.MustParseAddrPort(coreAddr), time.Now()) {
			t.Error("a hop is held to be bad")
		}
	}, func(c *Config) { c.Listeners = c.Listeners[:3] }) // no TCP toward the server
}
