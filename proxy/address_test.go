package proxy

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestOwnAddressByValue knows an address of ours in whatever spelling, in Route and in
// the Via of a response (RFC 5954 4.2).
func TestOwnAddressByValue(t *testing.T) {
	const six = "[fd00:31::6:1]:5060"
	trusted := func(c *Config) { c.Trusted = append(c.Trusted, netip.MustParsePrefix("fd00::/16")) }
	for _, spelled := range []string{six, "[FD00:31:0:0:0:0:6:1]:5060", "[fd00:31:0::6:1]", "[fd00:0031::0006:0001]:5060"} {
		t.Run(spelled, func(t *testing.T) {
			playWith(t, []string{"core udp " + six}, func(r *rig) {
				core := r.peer("[fd00:31::6:4]:5060")
				r.server.send(serverSide, request("NOTIFY", "sip:alice@[fd00:31::6:5]:5060", viaServer,
					"Route: <sip:"+serverSide+";lr;rw>", "Route: <sip:"+spelled+";lr;rw>", "Route: <sip:[fd00:31::6:4]:5060;lr>"))
				got := core.want("NOTIFY")
				if strings.Count(got, "\r\nRoute:") != 1 || !strings.Contains(got, "Via: SIP/2.0/UDP "+six+";") {
					t.Error(got)
				}
				core.send(six, strings.Replace(reply(got, "200 OK"), "UDP "+six, "UDP "+spelled, 1))
				r.server.want("SIP/2.0 200")
			}, trusted)
		})
	}
}

// TestLeavesByItsRoute has a NOTIFY leave from the socket that its own Route entry names,
// with that in Via and Record-Route (RFC 5658), by whatever transport; without a Route it
// is the first.
func TestLeavesByItsRoute(t *testing.T) {
	const second = "10.0.0.11:5060"
	playWith(t, []string{"core udp " + second, "core tcp " + second}, func(r *rig) {
		accept := r.listen(coreAddr)
		for _, c := range []struct{ route, over, from string }{
			{second, "udp", second}, {coreSide, "udp", coreSide}, {second, "tcp", second}, {coreSide, "tcp", coreSide},
		} {
			r.server.send(serverSide, request("NOTIFY", "sip:alice@10.0.0.9", viaServer+c.route+c.over,
				"Route: <sip:"+serverSide+";lr;rw>, <sip:"+c.route+";lr;rw>, <sip:"+coreAddr+";transport="+c.over+";lr>"))
			var got string
			if c.over == "udp" {
				got = r.core.want("NOTIFY")
			} else {
				got = accept().want("NOTIFY")
			}
			record := "Record-Route: <sip:" + c.from + ";lr;rw>"
			if c.over == "tcp" {
				record = "Record-Route: <sip:" + c.from + ";transport=tcp;lr;rw>"
			}
			if !strings.Contains(got, "Via: SIP/2.0/"+strings.ToUpper(c.over)+" "+c.from+";branch") || !strings.Contains(got, record) {
				t.Errorf("%+v:\n%s", c, got)
			}
		}
	})
}

// TestConnectionOfSecondListener: a connection that was dialled for one listener is that
// listener's for the ACK of a failure, for a response whose own connection has ended, and for
// the Record-Route of a request that comes by it.
func TestConnectionOfSecondListener(t *testing.T) {
	const second = "10.0.0.11:5060"
	for _, own := range []string{coreSide, second} {
		route := "Route: <sip:" + serverSide + ";lr;rw>, <sip:" + own + ";lr;rw>, <sip:" + coreAddr + ";transport=tcp;lr>"
		t.Run(own, func(t *testing.T) {
			playWith(t, []string{"core udp " + second, "core tcp " + second}, func(r *rig) {
				accept := r.listen(coreAddr)
				ended := r.dial("10.0.0.2", own)
				ended.send(request("MESSAGE", "sip:bob@ims.example", viaTCP("m1")))
				got := r.server.want("MESSAGE")
				_ = ended.conn.Close()
				synctest.Wait()
				r.server.send(serverSide, reply(got, "200 OK"))
				x := accept()
				x.want("SIP/2.0 200")
				r.server.send(serverSide, request("INVITE", "sip:alice@10.0.0.9", viaServer, route))
				x.send(reply(x.want("INVITE"), "486 Busy Here"))
				if ack := x.want("ACK"); !strings.Contains(ack, "Via: SIP/2.0/TCP "+own+";branch") {
					t.Error(ack)
				}
				r.server.want("SIP/2.0 100")
				r.server.want("SIP/2.0 486")
				x.send(request("SUBSCRIBE", "sip:bob@ims.example", viaTCP("s1")))
				if got := r.server.want("SUBSCRIBE"); !strings.Contains(got, "Record-Route: <sip:"+own+";transport=tcp;lr;rw>") {
					t.Error(got)
				}
			})
		})
	}
}

// TestMAddr sends a response to where maddr says (RFC 3261 18.2.2), rewatch's own and
// one that is passed on, but not what a stranger is told.
func TestMAddr(t *testing.T) {
	play(t, func(r *rig) {
		there, stranger := r.peer("10.0.0.77:5060"), r.peer("10.9.9.9:5060")
		via := "SIP/2.0/UDP 10.0.0.2:5060;maddr=10.0.0.77;branch=z9hG4bKm"
		r.core.send(coreSide, request("MESSAGE", "sip:bob@ims.example", via))
		r.server.send(serverSide, reply(r.server.want("MESSAGE"), "200 OK"))
		there.want("SIP/2.0 200")
		r.core.send(coreSide, request("MESSAGE", "sip:bob@ims.example", via+"2", "Max-Forwards: 0"))
		there.want("SIP/2.0 483")
		stranger.send(coreSide, request("MESSAGE", "sip:bob@ims.example", strings.Replace(via, "10.0.0.2", "10.9.9.9", 1)))
		there.nothing()
		stranger.want("SIP/2.0 403")
	})
}

// TestNotRelayable: what cannot be passed on ends nothing. The NOTIFY has failed when
// nothing better comes.
func TestNotRelayable(t *testing.T) {
	play(t, func(r *rig) {
		r.monitor.verdict = gone
		r.server.send(serverSide, notify())
		got := r.core.want("NOTIFY")
		response := crlf(reply(got, "200 OK"))
		first := strings.Index(response, "Via: SIP/2.0/UDP "+serverAddr)
		end := first + strings.Index(response[first:], "\r\n") + 2
		r.core.send(coreSide, response[:first]+response[end:])
		r.core.send(coreSide, strings.Replace(response, "UDP "+serverAddr, "UDP nowhere.example:5070", 1))
		r.server.nothing()
		if told := r.monitor.told(); told != "NOTIFY c1" {
			t.Error(told)
		}
		r.pass(29 * time.Second)
		r.server.want("SIP/2.0 100")
		r.server.want("SIP/2.0 481")
	})
}

// TestConnectionByItsPeer: the number of a connection in a branch of before a restart
// leads to no connection of another peer, and not to a later one of the same.
func TestConnectionByItsPeer(t *testing.T) {
	var old string
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		x.send(request("MESSAGE", "sip:bob@ims.example", viaTCP("k1")))
		old = reply(r.server.want("MESSAGE"), "200 OK")
	})
	for _, peer := range []string{"10.0.0.3", "10.0.0.2"} {
		play(t, func(r *rig) {
			var all []*connection
			for range 3 {
				all = append(all, r.dial(peer, coreSide))
			}
			accept := r.listen("10.0.0.2:5060")
			r.server.send(serverSide, old)
			for _, x := range all {
				x.nothing()
			}
			accept().want("SIP/2.0 200") // received at the port of sent-by (RFC 3261 18.2.2)
		})
	}
}

// TestAgainOnAnotherConnection gives the response to a request to the connection that it
// came by last: the first one is gone.
func TestAgainOnAnotherConnection(t *testing.T) {
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		msg := request("MESSAGE", "sip:bob@ims.example", viaTCP("k1"))
		x.send(msg)
		got := r.server.want("MESSAGE")
		_ = x.conn.Close()
		y := r.dial("10.0.0.2", coreSide)
		y.send(msg)
		r.server.nothing()
		r.server.send(serverSide, reply(got, "200 OK"))
		y.want("SIP/2.0 200")
	})
}
