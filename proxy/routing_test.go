package proxy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rewatch/proxy/route"
)

// TestDestination says where requests go.
func TestDestination(t *testing.T) {
	const tag = "To: <sip:bob@ims.example>;tag=b"
	const dialog = "Route: <sip:" + coreSide + ";lr;rw>, <sip:" + serverSide + ";lr;rw>"
	for _, c := range []struct {
		name, msg, to string
	}{
		{"initial", request("SUBSCRIBE", "sip:bob@192.0.2.1", viaCore), serverAddr},
		{"initial, with the S-CSCF in Route", request("INVITE", "sip:bob@192.0.2.1", viaCore, "Route: <sip:"+coreSide+";lr>, <sip:mark@10.1.0.9;lr>"), serverAddr},
		{"its CANCEL", request("CANCEL", "sip:bob@192.0.2.1", viaCore, "Route: <sip:"+coreSide+";lr>, <sip:mark@10.1.0.9;lr>"), serverAddr},
		{"the ACK of its failure", request("ACK", "sip:bob@192.0.2.1", viaCore, tag, "Route: <sip:"+coreSide+";lr>, <sip:mark@10.1.0.9;lr>"), serverAddr},
		{"the ACK of its success", request("ACK", "sip:bob@10.1.0.9", viaCore, tag, dialog), "10.1.0.9:5060"},
		{"in a dialog, by Request-URI", request("SUBSCRIBE", "sip:bob@10.1.0.9:5060", viaCore, tag, dialog), "10.1.0.9:5060"},
		{"in a dialog, by Route", request("SUBSCRIBE", "sip:bob@192.0.2.1", viaCore, tag, dialog+", <sip:10.1.0.9;lr>"), "10.1.0.9:5060"},
		{"the CANCEL of a re-INVITE", request("CANCEL", "sip:bob@10.1.0.9", viaCore, tag, dialog), "10.1.0.9:5060"},
		{"in a dialog, to a GRUU", request("SUBSCRIBE", "sip:bob@ims.example;gr=urn:uuid:1", viaCore, tag, dialog), serverAddr},
		{"in a dialog, to a tel URI", request("SUBSCRIBE", "tel:+1234", viaCore, tag, dialog), serverAddr},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				far := r.peer("10.1.0.9:5060")
				r.server.send(serverSide, notify("Contact: <sip:bob@10.1.0.9>"))
				r.core.want("NOTIFY")
				r.core.send(coreSide, c.msg)
				if c.to == serverAddr {
					far, r.server = r.server, far
				}
				method, _, _ := strings.Cut(c.msg, " ")
				far.want(method)
				r.server.nothing()
			})
		})
	}
}

// TestTowardCore says where the server's requests go.
func TestTowardCore(t *testing.T) {
	for _, c := range []struct{ name, uri, route, to string }{
		{"a GRUU, by Route", "sip:bob@ims.example;gr=urn:uuid:1", "Route: <sip:" + serverSide + ";lr>, <sip:10.0.0.9;lr>", "10.0.0.9:5060"},
		{"a GRUU, without Route", "sip:bob@ims.example;gr=urn:uuid:1", "X: y", coreAddr},
		{"an address, without Route", "sip:bob@10.0.0.9", "X: y", "10.0.0.9:5060"},
		{"ourselves", "sip:" + coreSide, "X: y", coreAddr},
		{"an address of ours in a name", "sip:bob@PROXY.example:5060", "X: y", coreAddr},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				far := r.peer("10.0.0.9:5060")
				r.server.send(serverSide, request("MESSAGE", c.uri, viaServer, c.route))
				if c.to == coreAddr {
					far = r.core
				}
				far.want("MESSAGE " + c.uri)
			}, func(c *Config) { c.Listeners[0].Aliases = []string{"proxy.example"} })
		})
	}
}

// TestNames waits for DNS with a copy of each request, once.
func TestNames(t *testing.T) {
	play(t, func(r *rig) {
		msg := request("MESSAGE", "sip:bob@x", viaServer, "Route: <sip:scscf.example;lr>")
		for range 3 {
			r.server.send(serverSide, msg)
		}
		if n := len(r.names.waiting["scscf.example"]); n != 1 {
			t.Fatal(n, "wait")
		}
		r.core.nothing()
		r.names.learn("scscf.example", nil, coreAddr)
		r.core.want("MESSAGE")
		r.core.nothing()
		r.server.send(serverSide, strings.Replace(msg, "server1", "server2", 1))
		r.core.want("MESSAGE")
		// A name that does not exist.
		r.server.send(serverSide, strings.Replace(msg, "scscf", "none", 1))
		r.names.learn("none.example", errors.New("no such host"))
		r.server.nothing() // asked once more, in case the answer has come
		r.names.learn("none.example", errors.New("no such host"))
		r.server.want("SIP/2.0 503 No Next Hop")
		if n := r.s.parking.len(); n != 0 {
			t.Error(n, "wait for ever")
		}
	})
}

// TestUnspeakable: of the addresses of a name those come first that a socket of ours can
// reach, by a transport that it speaks; a URI that leads nowhere is said to.
func TestUnspeakable(t *testing.T) {
	for _, c := range []struct {
		name  string
		addrs []string
		want  string
	}{
		{"IPv6 first", []string{"[2001:db8::9]:5060", coreAddr}, "MESSAGE"},
		{"TLS first", []string{"tls/10.0.0.9:5061", coreAddr}, "MESSAGE"},
		{"both", []string{"tls/10.0.0.9:5061", "[2001:db8::9]:5060", coreAddr, "[2001:db8::7]:5060"}, "MESSAGE"},
		{"nothing else", []string{"tls/10.0.0.9:5061"}, "SIP/2.0 503 Next Hop Unreachable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				r.names.set("core.example", c.addrs...)
				r.server.send(serverSide, request("MESSAGE", "sip:bob@ims.example", viaServer))
				if strings.HasPrefix(c.want, "SIP/") {
					r.server.want(c.want)
				} else {
					r.core.want(c.want)
				}
			}, func(c *Config) { c.Core = []string{"sip:core.example"} })
		})
	}
	for _, uri := range []string{"tel:+1234", "urn:service:sos", "mailto:bob@ims.example"} {
		play(t, func(r *rig) {
			r.server.send(serverSide, request("MESSAGE", uri, viaServer))
			r.server.want("SIP/2.0 416 Unsupported URI Scheme")
			r.server.send(serverSide, request("MESSAGE", uri, viaServer+"r", "Route: <sip:"+coreAddr+";lr>"))
			r.core.want("MESSAGE " + uri)
		}, func(c *Config) { c.Core = nil })
	}
}

// TestNotifyWithoutHop judges a NOTIFY whose next hop cannot be found as one whose
// hops are dead.
func TestNotifyWithoutHop(t *testing.T) {
	for _, route := range []string{"<sip:none.example;lr>", "<sip:10.0.0.2;transport=sctp;lr>"} {
		play(t, func(r *rig) {
			r.monitor.verdict = gone
			msg := request("NOTIFY", "sip:w@10.0.0.9", viaServer, "Route: "+route)
			r.server.send(serverSide, msg)
			for range maxParkings {
				r.names.learn("none.example", errors.New("no such host"))
			}
			r.server.want("SIP/2.0 481")
			r.server.send(serverSide, msg)
			r.server.want("SIP/2.0 481")
			if s := r.monitor.told(); s != "NOTIFY c1; NOTIFY unreachable 0 late=false" {
				t.Error(s)
			}
		})
	}
}

// TestHealth takes a server that refuses for down, until it is heard of.
func TestHealth(t *testing.T) {
	changes := ""
	play(t, func(r *rig) {
		_ = r.server.conn.Close()
		msg := request("SUBSCRIBE", "sip:bob@ims.example", viaCore)
		r.core.send(coreSide, msg)
		r.core.nothing()
		if up, why := r.s.ServerUp(); up || !strings.Contains(why, serverAddr) {
			t.Error(up, why)
		}
		r.core.send(coreSide, msg)
		r.core.want("SIP/2.0 503 Presence Server Unavailable")
		r.server = r.peer(serverAddr)
		r.server.send(serverSide, notify())
		r.core.want("NOTIFY")
		r.core.send(coreSide, msg)
		r.server.want("SUBSCRIBE")
		if changes != "down up " {
			t.Error(changes)
		}
	}, func(c *Config) {
		c.Server += ";transport=udp"
		c.ServerChanged = func(up bool, _ string) {
			changes += map[bool]string{true: "up ", false: "down "}[up]
		}
	})
}

// TestHopMemory puts hops that failed lately last.
func TestHopMemory(t *testing.T) {
	play(t, func(r *rig) {
		w := r.s.borrow()
		w.s.routing.Bad.Add(netip.MustParseAddrPort("10.0.0.3:1"), w.now)
		_, err := w.router.Candidates(route.Decision{Core: true}, nil, w.now)
		if hops := w.router.Hops; err != nil || len(hops) != 3 || hops[0].Addr.String() != "10.0.0.4:1" || hops[2].Addr.String() != "10.0.0.3:1" {
			t.Error(hops, err)
		}
		r.pass(31 * time.Second)
		w.clock()
		if w.s.routing.Bad.Has(w.router.Hops[2].Addr, w.now) {
			t.Error("never forgotten")
		}
	}, func(c *Config) { c.Core = []string{"sip:10.0.0.3:1", "sip:10.0.0.4:1", "sip:10.0.0.5:1"} })
}
