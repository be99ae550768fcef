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

// TestTunnelOfAPhone: a phone has the newest state within two seconds of its REGISTER, or
// of its refresh, while the core has the NOTIFY still on the way.
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
				c.publishes("open")
				c.waits(began, out)
				lift()
				alive(p, d)
				heard := time.Now()
				eventually(t, 2*time.Second, "the phone has the newest state", func() bool { return c.phone.shows() == "online" })
				t.Logf("after %s it has the newest state %s after its %s", out, time.Since(heard).Round(time.Millisecond), sign)
				c.goesOn()
				if cseqs, _ := p.notifies(); !slices.IsSorted(cseqs) {
					t.Error("out of order:", cseqs)
				}
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
			c := startTunnel(t, start, nil)
			lift := c.phone.enter(t, "tunnel"+strings.ReplaceAll(c.net, ".", "x"))
			began := time.Now()
			c.publishes("open")
			c.publishes("closed")
			c.publishes("open")
			c.waits(began, 9*time.Minute)
			time.Sleep(out - time.Since(began))
			lift()
			back := time.Now()
			eventually(t, 10*time.Minute, "the phone shows the newest state", func() bool { return c.phone.shows() == "online" })
			t.Logf("%s shows the newest state %s after the end of the tunnel, with %d MESSAGEs", name, time.Since(back).Round(time.Second), c.mirror.count("MESSAGE"))
			if c.core.deregistered("alice") != 0 {
				t.Error("the user was signed out")
			}
		})
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
			send := func(version int) *message {
				kind, body := build(version)
				transport, hop := d.hop()
				lines := append(d.lines("NOTIFY", d.next()), "Subscription-State: active;expires=3599", "Contact: <sip:"+n.addr+">", "Content-Type: "+kind)
				return n.do(transport, hop, n.request(transport, "NOTIFY", d.target, body, lines...), 32*time.Second)
			}
			if m := send(1); m == nil || m.status != 200 {
				t.Fatal("the first NOTIFY:", m)
			}
			phone := tunneller{packets: []string{"ip saddr " + s.ip(50), "ip daddr " + s.ip(50)}}
			lift := phone.enter(t, "tunnel"+strings.ReplaceAll(s.net, ".", "x"))
			began := time.Now()
			first := make(chan *message, 1)
			go func() { first <- send(2) }()
			time.Sleep(50 * time.Millisecond)
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
			eventually(t, 2*time.Second, "the state that was on the way", func() bool { return slices.Contains(versions(), "2") })
			eventually(t, 5*time.Second, "all versions", func() bool { return slices.Contains(versions(), "6") })
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
