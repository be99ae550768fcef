package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/route"
)

const (
	inDialog = "To: <sip:bob@ims.example>;tag=b"
	ownRoute = "Route: <sip:" + coreSide + ";lr;rw>, <sip:" + serverSide + ";lr;rw>"
	victim   = "10.1.0.66:6379"
)

// TestReachOfPhones has a phone write where its request is to go, in every way: nothing
// gets there, and the phone is told that there is no such dialog.
func TestReachOfPhones(t *testing.T) {
	for _, c := range []struct{ name, uri, route string }{
		{"Request-URI", "sip:x@" + victim, ""},
		{"Request-URI, with a Route of ours", "sip:x@" + victim, ownRoute},
		{"Request-URI by TCP", "sip:x@" + victim + ";transport=tcp", ownRoute},
		{"maddr on the server's host", "sip:x@" + serverAddr + ";maddr=10.1.0.66", ownRoute},
		{"another port of the server's", "sip:x@10.1.0.2:6379", ownRoute},
		{"Route", "sip:bob@" + serverAddr, "Route: <sip:" + victim + ";lr>"},
		{"Route behind ours", "sip:bob@" + serverAddr, ownRoute + ", <sip:" + victim + ";lr>"},
		{"a strict Route", "sip:bob@" + serverAddr, ownRoute + ", <sip:" + victim + ">"},
		{"a name", "sip:bob@" + serverAddr, ownRoute + ", <sip:victim.example;lr>"},
	} {
		for _, method := range []string{"SUBSCRIBE", "MESSAGE", "INVITE", "BYE", "OPTIONS", "CANCEL", "ACK"} {
			t.Run(c.name+" "+method, func(t *testing.T) {
				play(t, func(r *rig) {
					far, tcp := r.peer(victim), r.net.Listen(victim)
					r.names.set("victim.example", victim)
					extra := []string{inDialog}
					if c.route != "" {
						extra = append(extra, c.route)
					}
					r.core.send(coreSide, request(method, c.uri, viaCore, extra...))
					switch {
					case method != "ACK":
						r.core.want("SIP/2.0 481 ")
					case strings.HasPrefix(c.name, "Request-URI") || c.route != "":
						r.core.nothing()
					}
					far.nothing()
					_ = tcp.Close()
					if len(r.names.waiting) > 0 {
						t.Error("a name that a phone invented is looked up")
					}
					if r.s.health.Down() {
						t.Error("the server is marked down")
					}
				})
			})
		}
	}
}

// TestNamedByServer says whom the server names, and who is not named by what it only copies.
func TestNamedByServer(t *testing.T) {
	const other, proxy = "10.1.0.7:5080", "10.1.0.8:5060"
	const contact = "Contact: <sip:bob@" + other + ">"
	subscribed := func(more ...string) func(r *rig) {
		return func(r *rig) {
			r.core.send(coreSide, request("SUBSCRIBE", "sip:bob@ims.example", viaCore, "Record-Route: <sip:"+victim+";lr>"))
			r.server.send(serverSide, reply(r.server.want("SUBSCRIBE"), "200 OK", more...))
			r.core.want("SIP/2.0 200")
		}
	}
	refreshed := func(r *rig) {
		r.core.send(coreSide, request("SUBSCRIBE", "sip:bob@"+serverAddr, viaCore, inDialog,
			"Record-Route: <sip:"+victim+";lr>, <sip:"+serverSide+";lr;rw>, <sip:"+coreSide+";lr;rw>"))
		r.server.send(serverSide, reply(r.server.want("SUBSCRIBE"), "200 OK"))
		r.core.want("SIP/2.0 200")
	}
	above := func(r *rig) {
		r.core.send(coreSide, request("SUBSCRIBE", "sip:bob@ims.example", viaCore))
		answer := reply(r.server.want("SUBSCRIBE"), "200 OK", contact)
		r.server.send(serverSide, strings.Replace(answer, "\nRecord-Route:", "\nRecord-Route: <sip:"+proxy+";lr>\nRecord-Route:", 1))
		r.core.want("SIP/2.0 200")
	}
	notified := func(more ...string) func(r *rig) {
		return func(r *rig) {
			r.server.send(serverSide, notify(more...))
			r.core.want("NOTIFY")
		}
	}
	registered := func(r *rig) {
		r.core.send(coreSide, request("REGISTER", "sip:ims.example", viaCore))
		r.server.send(serverSide, reply(r.server.want("REGISTER"), "200 OK", "Contact: <sip:x@"+victim+">"))
		r.core.want("SIP/2.0 200")
	}
	relayed := func(r *rig) { // a server that passes on what a phone wrote
		r.core.send(coreSide, request("SUBSCRIBE", "sip:bob@ims.example", viaCore, "Contact: <sip:x@"+victim+">"))
		got := strings.ReplaceAll(r.server.want("SUBSCRIBE"), "\r\n", "\n")
		r.server.send(serverSide, strings.Replace(strings.Replace(got, "sip:bob@", "sip:carol@", 1), "\nVia:", "\nVia: "+viaServer+"\nVia:", 1))
		r.core.want("SUBSCRIBE")
	}
	for _, c := range []struct {
		name  string
		learn func(*rig)
		want  []string
	}{
		{"the Contact of a 200", subscribed(contact), []string{other}},
		{"no Contact", subscribed(), nil},
		{"a Record-Route above ours", above, []string{proxy}},
		{"the Contact of a NOTIFY", notified(contact), []string{other}},
		{"a Record-Route of a NOTIFY", notified(contact, "Record-Route: <sip:"+proxy+";lr>"), []string{proxy}},
		{"a Record-Route of a phone's, in a dialog", refreshed, nil},
		{"a binding of a phone's", registered, nil},
		{"a Contact that the server relays", relayed, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var told []string
			play(t, func(r *rig) {
				c.learn(r)
				slices.Sort(told)
				if !slices.Equal(told, c.want) {
					t.Errorf("named: %v, want %v", told, c.want)
				}
				for _, at := range []string{other, proxy, victim} {
					far := r.peer(at)
					r.core.send(coreSide, request("BYE", "sip:bob@"+at, strings.Replace(viaCore, "core1", at[:9], 1), inDialog, ownRoute))
					if slices.Contains(c.want, at) {
						far.want("BYE")
					} else {
						far.nothing()
						r.core.want("SIP/2.0 481 ")
					}
				}
			}, func(cfg *Config) {
				cfg.HostNamed = func(host string, _ time.Time) { told = append(told, host) }
			})
		})
	}
}

// TestReachAfterRestart: a host that the server named to an earlier process is reached as
// before, until its time is over; another is not.
func TestReachAfterRestart(t *testing.T) {
	const named, over, victim = "10.1.0.7:5080", "10.1.0.8:5080", "10.1.0.66:6379"
	play(t, func(r *rig) {
		now := time.Now()
		if !r.s.RestoreHost(named, now.Add(time.Hour), now) || r.s.RestoreHost(over, now, now) {
			t.Error("what is over is restored, or what is not is none")
		}
		for _, at := range []string{named, over, victim} {
			far := r.peer(at)
			r.core.send(coreSide, request("BYE", "sip:bob@"+at, strings.Replace(viaCore, "core1", at[:9], 1), inDialog, ownRoute))
			if at == named {
				far.want("BYE")
			} else {
				far.nothing()
				r.core.want("SIP/2.0 481 ")
			}
		}
	})
}

// TestReachOfServer keeps requests of the server, whose route set a phone wrote, from where
// the operator does not want them. REWATCH_CORE can be reached wherever it is.
func TestReachOfServer(t *testing.T) {
	reach := func(cfg *Config) { cfg.Reach = route.Reach{Only: []netip.Prefix{netip.MustParsePrefix("10.0.0.8/29")}} }
	for _, c := range []struct{ name, method, uri, route, answer string }{
		{"within", "NOTIFY", "sip:x@10.0.0.9", "X: y", ""},
		{"the core", "NOTIFY", "sip:x@10.0.0.66", "Route: <sip:" + coreAddr + ";lr>", ""},
		{"Request-URI", "NOTIFY", "sip:x@10.0.0.66", "X: y", "SIP/2.0 481 Subscription Does Not Exist"},
		{"Route", "NOTIFY", "sip:x@10.0.0.9", "Route: <sip:10.0.0.66;lr>", "SIP/2.0 481 Subscription Does Not Exist"},
		{"a name", "NOTIFY", "sip:x@10.0.0.9", "Route: <sip:victim.example;lr>", "SIP/2.0 481 Subscription Does Not Exist"},
		{"another port of the core's", "MESSAGE", "sip:x@10.0.0.2:6379", "X: y", "SIP/2.0 404 Not Found"},
		{"in a dialog", "BYE", "sip:x@10.0.0.66", inDialog, "SIP/2.0 481 Call/Transaction Does Not Exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				r.names.set("victim.example", "10.0.0.66:5060")
				far, near := r.peer("10.0.0.66:5060"), r.peer("10.0.0.9:5060")
				r.server.send(serverSide, request(c.method, c.uri, viaServer, c.route))
				far.nothing()
				if c.answer == "" {
					if near.poll()+r.core.poll() == "" {
						t.Error("it went nowhere")
					}
					return
				}
				r.server.want(c.answer)
				near.nothing()
				r.core.nothing()
				if s := r.monitor.told(); s != "" {
					t.Error(s)
				}
			}, reach)
		})
	}
}

// TestReachAllocates nothing, for a host that the server has named, one that it has not, and
// one of the core's.
func TestReachAllocates(t *testing.T) {
	play(t, func(r *rig) {
		r.server.send(serverSide, notify("Contact: <sip:bob@10.1.0.7:5080>"))
		w := r.s.borrow()
		defer r.s.giveBack(w)
		for _, d := range []route.Decision{
			{URI: []byte("sip:bob@10.1.0.7:5080"), Toward: dialogs.Server},
			{URI: []byte("sip:bob@" + victim), Toward: dialogs.Server},
			{URI: []byte("sip:" + coreAddr), Toward: dialogs.Core},
			{URI: []byte("sip:10.0.0.66"), Toward: dialogs.Core},
		} {
			if n := testing.AllocsPerRun(100, func() { _, _ = w.router.Candidates(d, nil, w.now) }); n != 0 {
				t.Errorf("%s: %v allocations", d.URI, n)
			}
		}
	}, func(cfg *Config) { cfg.Reach = route.Reach{Only: []netip.Prefix{netip.MustParsePrefix("10.0.0.8/29")}} })
}

// TestRegisterInDialog takes a REGISTER with a tag in To for no REGISTER of a third party.
func TestRegisterInDialog(t *testing.T) {
	play(t, func(r *rig) {
		r.core.send(coreSide, request("REGISTER", "sip:"+serverAddr, viaCore, inDialog, "Expires: 0"))
		r.core.want("SIP/2.0 481 ")
		r.server.nothing()
		if s := r.monitor.told(); s != "" {
			t.Error(s)
		}
	})
}
