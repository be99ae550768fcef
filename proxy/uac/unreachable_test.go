package uac

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// A route that the network refuses is left at once, and not after Timer F; the
// core then finds another way to the user.
func TestDeadRoute(t *testing.T) {
	m := alice
	m.Route = "sip:scscf.ims.example:6060;transport=tcp" // hopT
	t.Run("refused when sent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, always("200 OK"))
			p.down[hopT.Addr] = true
			r := p.client.Message(context.Background(), m)
			s := p.done()
			if !r.OK() || len(s) != 1 || s[0].hop != hopA || !strings.Contains(s[0].text, "Route: <sip:core.ims.example;lr>\r\n") {
				t.Errorf("%+v, sent %+v", r, s)
			}
		})
	})
	t.Run("refused later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, func(_ int, s sent) []string {
				if s.hop == hopA {
					return []string{respond(s, "200 OK")}
				}
				return nil
			})
			start := time.Now()
			time.AfterFunc(time.Second, func() {
				p.mu.Lock()
				_, branch, _ := strings.Cut(p.sent[0].text, "branch=")
				p.mu.Unlock()
				branch, _, _ = strings.Cut(branch, ";")
				p.client.Unreachable([]byte(branch))
				p.client.Unreachable([]byte(branch))
				p.client.Unreachable([]byte("z9hG4bK-nobody"))
			})
			r := p.client.Message(context.Background(), m)
			s := p.done()
			if !r.OK() || len(s) != 2 || s[1].hop != hopA || time.Since(start) > 2*time.Second {
				t.Errorf("%+v after %v, sent %d", r, time.Since(start), len(s))
			}
		})
	})
}

// Where nothing names a transport, TCP is tried behind the other hops; else the request has
// failed.
func TestOtherTransport(t *testing.T) {
	for _, c := range []struct {
		either bool
		by     string
	}{{true, "message"}, {true, "forward"}, {true, "probe"}, {false, "message"}, {false, "forward"}, {false, "probe"}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, always("200 OK"))
			p.udpDown = true
			hop := hopA
			hop.Either = c.either
			p.hops["sip:core.ims.example"] = []Hop{hop}
			var ok bool
			switch c.by {
			case "probe":
				ok = p.client.Probe(context.Background(), hop, "sip:core.ims.example").OK()
			case "forward":
				raw := "MESSAGE sip:a@ims.example SIP/2.0\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
				ok = p.client.Forward(context.Background(), hop.Side, "sip:core.ims.example", []byte(raw)).OK()
			default:
				ok = p.client.Message(context.Background(), alice).OK()
			}
			s := p.done()
			if ok != c.either || ok && (len(s) != 1 || !strings.Contains(s[0].text, "Via: SIP/2.0/TCP ")) {
				t.Errorf("%+v: %t, sent %+v", c, ok, s)
			}
		})
	}
}

// TestOtherWay: the S-CSCF of the REGISTER is dead, and the user has come back by another
// hop, which is asked before the core. It is not asked twice where it is the same.
func TestOtherWay(t *testing.T) {
	m := alice
	m.Route, m.Else = "sip:scscf.ims.example:6060;transport=tcp", "sip:192.0.2.9:5060" // hopT
	other := Hop{Hop: resolve.Hop{Transport: wire.UDP, Addr: netip.MustParseAddrPort("192.0.2.9:5060")}}
	for _, dead := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, always("200 OK"))
			p.hops[m.Else] = []Hop{other}
			p.down[hopT.Addr] = dead
			r := p.client.Message(context.Background(), m)
			s := p.done()
			want, route := hopT, m.Route
			if dead {
				want, route = other, m.Else
			}
			if !r.OK() || len(s) != 1 || s[0].hop != want || !strings.Contains(s[0].text, "Route: <"+route+";lr>\r\n") {
				t.Errorf("dead %t: %+v, sent %+v", dead, r, s)
			}
		})
	}
}

// TestSameHopOnce: a hop is asked once, though one URI of it names the transport and the
// others do not.
func TestSameHopOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := alice
		m.Route, m.Else = "sip:192.0.2.9:5060", "sip:192.0.2.9"
		hop := Hop{Hop: resolve.Hop{Transport: wire.UDP, Addr: netip.MustParseAddrPort("192.0.2.9:5060")}}
		p := newPeer(t, always("503 Service Unavailable"))
		p.hops[p.client.cfg.Core[0]] = []Hop{hop}
		hop.Either = true
		ranked := hop
		ranked.Rank.Group, ranked.ServerName = 2, "scscf.ims.example"
		p.hops[m.Route], p.hops[m.Else] = []Hop{hop}, []Hop{ranked}
		r := p.client.Message(t.Context(), m)
		if s := p.done(); r.Status != 503 || len(s) != 1 {
			t.Errorf("%+v, sent %+v", r, s)
		}
	})
}
