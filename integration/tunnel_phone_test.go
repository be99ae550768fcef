//go:build integration && linux

package integration

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// notifies are the CSeqs of the NOTIFYs that a phone was sent, retransmissions left out,
// and the body of the last one.
func (p *phone) notifies() (cseqs []int, body string) {
	for _, m := range p.all(func(m *message) bool { return m.method == "NOTIFY" && !m.again }) {
		number, _, _ := strings.Cut(m.get("cseq"), " ")
		cseq, _ := strconv.Atoi(number)
		cseqs, body = append(cseqs, cseq), m.body
	}
	return cseqs, body
}

// onces leaves out what has come before.
func onces(list []int) (all []int) {
	for _, n := range list {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// startTunnelOf starts a scripted phone that is registered and subscribed to bob.
func startTunnelOf(t *testing.T, vars env) (*tunnelCase, *phone, *dialog) {
	t.Helper()
	var p *phone
	var d *dialog
	c := startTunnel(t, func(s *site) *tunneller {
		p = s.startPhone("alice", 50)
		p.register(3600)
		d = p.subscribed("bob")
		return &tunneller{[]string{"ip saddr " + s.ip(50), "ip daddr " + s.ip(50)}, func() string {
			if _, body := p.notifies(); strings.Contains(body, "<basic>open") {
				return "online"
			}
			return "offline"
		}}
	}, vars)
	return c, p, d
}

// TestTunnelOfAPhone: a phone has the newest of three states within two seconds of its
// REGISTER, or of its refresh, while the core has the NOTIFY with the first still on the way.
// What the core may send of that one later does not stay the last word.
func TestTunnelOfAPhone(t *testing.T) {
	t.Parallel()
	if !networkFor(t, 5*time.Minute, "nft") {
		return
	}
	lasts := []time.Duration{5 * time.Second, 12 * time.Second, 40 * time.Second}
	if os.Getenv("TUNNEL") != "" {
		lasts = append(lasts, 3*time.Minute)
	}
	for sign, alive := range map[string]func(p *phone, d *dialog){
		"REGISTER": func(p *phone, _ *dialog) { p.register(600) },
		"refresh": func(p *phone, d *dialog) {
			if r := p.again(d, 3600); r.status/100 != 2 {
				p.t.Error("the refresh got", r.status)
			}
		},
	} {
		for _, out := range lasts {
			t.Run(fmt.Sprint(sign, "-", out), func(t *testing.T) {
				t.Parallel()
				c, p, d := startTunnelOf(t, nil)
				lift := c.phone.enter(t, "tunnel"+strings.ReplaceAll(c.net, ".", "x"))
				began := time.Now()
				for _, basic := range []string{"open", "closed", "open"} {
					c.publishes(basic)
				}
				newest := fmt.Sprintf("state %d.", c.states)
				current := func() bool {
					_, body := p.notifies()
					return strings.Contains(body, newest)
				}
				c.waits(began, out)
				lift()
				alive(p, d)
				heard := time.Now()
				eventually(t, 2*time.Second, "the phone has the newest state", current)
				t.Logf("after %s it has the newest state %s after its %s", out, time.Since(heard).Round(time.Millisecond), sign)
				shown := time.Now()
				holds(t, 6*time.Second, "it goes on showing it", func() bool {
					if current() {
						shown = time.Now()
					}
					return time.Since(shown) < 500*time.Millisecond
				})
				c.goesOn()
				cseqs, _ := p.notifies()
				if seen := onces(cseqs); !slices.IsSorted(seen) {
					t.Error("out of order:", cseqs)
				}
				t.Log("CSeqs:", cseqs)
			})
		}
	}
}

// TestTunnelTooLong: who is away for longer than NOTIFYs are kept is recovered as ever: the
// server has its 481, there are MESSAGEs, and the phone, which learns by its refresh that
// its subscription is gone, subscribes anew. It takes twelve minutes (TUNNEL=1).
func TestTunnelTooLong(t *testing.T) {
	if os.Getenv("TUNNEL") == "" {
		t.Skip("it takes a quarter of an hour: TUNNEL=1")
	}
	t.Parallel()
	if !networkFor(t, 25*time.Minute, "nft") {
		return
	}
	const out = 12 * time.Minute
	t.Run("scripted", func(t *testing.T) {
		t.Parallel()
		c, p, d := startTunnelOf(t, nil)
		lift := c.phone.enter(t, "tunnel"+strings.ReplaceAll(c.net, ".", "x"))
		began := time.Now()
		c.publishes("open")
		c.waits(began, 10*time.Minute)
		eventually(t, 2*time.Minute, "a MESSAGE", func() bool { return c.mirror.count("MESSAGE") > 0 })
		c.publishes("closed")
		eventually(t, patience, "the server has its 481", func() bool { return len(c.server.watchers("alice")) == 0 })
		time.Sleep(out - time.Since(began))
		lift()
		if r := p.again(d, 3600); r.status != 481 {
			t.Fatal("the refresh got", r.status)
		}
		c.publishes("open")
		p.subscribed("bob")
		eventually(t, patience, "the phone has the newest state", func() bool { return c.phone.shows() == "online" })
		eventually(t, time.Minute, "no recovery goes on", func() bool { return c.r.metric("rewatch_recoveries_active") == 0 })
		if c.core.deregistered("alice") != 0 {
			t.Error("the user was signed out")
		}
	})
	for name, start := range tunnellers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			startTunnel(t, start, nil).isTooLong(name, out)
		})
	}
}

// isTooLong cuts a standard client off for longer than NOTIFYs are kept. Whether and when
// it subscribes anew is its own; what rewatch does about it is told here. Where the client
// was granted more time than it was away, its subscription has failed: there are MESSAGEs,
// and the server hears 481. Where its subscription has lapsed meanwhile, nothing is said:
// the client knows that as well as the server. The user is never signed out for it.
func (c *tunnelCase) isTooLong(name string, out time.Duration) {
	c.t.Helper()
	lift := c.phone.enter(c.t, "tunnel"+strings.ReplaceAll(c.net, ".", "x"))
	began := time.Now()
	for _, basic := range []string{"open", "closed", "open"} {
		c.publishes(basic)
	}
	c.waits(began, 9*time.Minute)
	eventually(c.t, 2*time.Minute, "nothing is kept any more", func() bool { return c.r.metric("rewatch_redeliver_kept") == 0 })
	failed := c.r.metric("rewatch_redelivered_total", `result="given-back"`)
	c.t.Logf("%s: kept for %s; %v given back, %v dropped", name, time.Since(began).Round(time.Second), failed, c.r.metric("rewatch_redelivered_total", `result="dropped"`))
	if failed > 0 {
		if kept := time.Since(began); kept < 10*time.Minute {
			c.t.Error("given up after", kept)
		}
		eventually(c.t, 2*time.Minute, "a MESSAGE", func() bool { return c.mirror.count("MESSAGE") > 0 })
	} else if n := c.mirror.count("MESSAGE"); n > 0 || c.r.metric("rewatch_redelivered_total", `result="dropped"`) == 0 {
		c.t.Errorf("its subscription has lapsed, and there are %d MESSAGEs", n)
	}
	c.publishes("closed")
	eventually(c.t, patience, "the server has no row", func() bool { return len(c.server.watchers("alice")) == 0 })
	time.Sleep(out - time.Since(began))
	lift()
	back := time.Now()
	c.publishes("open")
	anew := time.Duration(0)
	holds(c.t, 4*time.Minute, "the user who works is not signed out", func() bool {
		if anew == 0 && c.phone.shows() == "online" {
			anew = time.Since(back)
		}
		return c.core.deregistered("alice") == 0 && c.r.metric("rewatch_recoveries_total", `result="exhausted"`) == 0
	})
	c.t.Logf("%s: %d MESSAGEs; by itself it shows the newest state after %s (0s: not within four minutes)", name, c.mirror.count("MESSAGE"), anew.Round(time.Second))
	if anew > 0 && len(c.server.watchers("alice")) != 1 {
		c.t.Error("it shows the newest state, and has no subscription")
	}
}

// TestTunnelOfVersions: partial states come complete and in order, without a gap in their
// versions, and what is full takes the place of those before it.
func TestTunnelOfVersions(t *testing.T) {
	t.Parallel()
	if !networkFor(t, 2*time.Minute, "nft") {
		return
	}
	for event, build := range map[string]func(version int) (kind, body string){
		"presence": func(version int) (string, string) {
			return "application/pidf-diff+xml", fmt.Sprintf(`<?xml version="1.0"?><pidf-diff xmlns="urn:ietf:params:xml:ns:pidf-diff" entity="sip:bob@ims.example" version="%d"/>`, version)
		},
		"dialog": func(version int) (string, string) {
			return "application/dialog-info+xml", fmt.Sprintf(`<?xml version="1.0"?><dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="%d" state="partial" entity="sip:bob@ims.example"/>`, version)
		},
	} {
		t.Run(event, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			n := s.startNotifier()
			s.startCore()
			r := s.startRewatch(env{"REWATCH_REDELIVER": "10m", "REWATCH_NOTIFY_TIMEOUT": "28s"})
			p := s.startPhone("alice", 50)
			p.register(600)
			own, _ := p.peer.subscribe("udp", s.ip(20)+":5060", wish{user: "alice", buddy: "bob", event: event, contact: "sip:alice@" + p.addr})
			d := n.dialog(own.callID)
			transport, hop := d.hop()
			notify := func(version int) []byte {
				kind, body := build(version)
				lines := append(d.lines("NOTIFY", d.next()), "Subscription-State: active;expires=3599", "Contact: <sip:"+n.addr+">", "Content-Type: "+kind)
				return n.request(transport, "NOTIFY", d.target, body, lines...)
			}
			send := func(version int) *message { return n.do(transport, hop, notify(version), 32*time.Second) }
			if m := send(1); m == nil || m.status != 200 {
				t.Fatal("the first NOTIFY:", m)
			}
			phone := tunneller{packets: []string{"ip saddr " + s.ip(50), "ip daddr " + s.ip(50)}}
			lift := phone.enter(t, "tunnel"+strings.ReplaceAll(s.net, ".", "x"))
			began := time.Now()
			first, raw := make(chan *message, 1), notify(2)
			n.send(transport, hop, raw) // before the others, and then as a retransmission
			go func() { first <- n.do(transport, hop, raw, 32*time.Second) }()
			for version := 3; version <= 6; version++ {
				if m := send(version); m == nil || m.status != 200 {
					t.Fatalf("version %d: %v", version, m)
				}
			}
			time.Sleep(9*time.Second - time.Since(began)) // half-way between two retransmissions of the core
			lift()
			p.register(600)
			versions := func() (got []string) {
				for _, m := range p.all(func(m *message) bool { return m.method == "NOTIFY" && !m.again }) {
					_, v, _ := strings.Cut(m.body, `version="1.0"?>`)
					_, v, _ = strings.Cut(v, `version="`)
					v, _, _ = strings.Cut(v, `"`)
					got = append(got, v)
				}
				return got
			}
			eventually(t, 2*time.Second, "all versions", func() bool { return slices.Contains(versions(), "6") })
			if got := slices.Compact(versions()); !slices.Equal(got, []string{"1", "2", "3", "4", "5", "6"}) {
				t.Error("versions:", versions())
			}
			if m := <-first; m == nil || m.status != 200 {
				t.Error("the server got", m)
			}
			if r.metric("rewatch_messages_total") != 0 {
				t.Error("a MESSAGE")
			}
		})
	}
}
