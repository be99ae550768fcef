//go:build integration && linux

package integration

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A tunneller is a phone that watches bob and that the network can be cut off from.
type tunneller struct {
	packets []string // nft matches of what is cut off
	shows   func() string
}

// tunnel cuts it off, until lift is called: what comes or goes is lost, and nobody is
// told.
func (p *tunneller) enter(t *testing.T, name string) (lift func()) {
	t.Helper()
	must(t, "nft add table inet "+name)
	must(t, "nft add chain inet "+name+" in { type filter hook input priority 0 ; }")
	for _, match := range p.packets {
		must(t, "nft add rule inet "+name+" in "+match+" drop")
	}
	return func() { must(t, "nft delete table inet "+name) }
}

var (
	baresipShows  = regexp.MustCompile(`changed status from .* to (?:\x1b\[[0-9;]*m)?(\w+)`)
	linphoneShows = regexp.MustCompile(`(?i)bob.* is (\w+)`)
)

// last is what a phone has printed last of bob.
func last(p *process, shown *regexp.Regexp) string {
	all := shown.FindAllStringSubmatch(p.output(), -1)
	if len(all) == 0 {
		return ""
	}
	return strings.ToLower(all[len(all)-1][1])
}

// linphones counts them: they listen on every address, so each needs a port of its own.
var linphones atomic.Uint32

// tunnellers are the standard clients.
var tunnellers = map[string]func(s *site) *tunneller{
	"baresip": func(s *site) *tunneller {
		p := s.startBaresipFor("alice", 50, 60)
		return &tunneller{[]string{"ip saddr " + s.ip(50), "ip daddr " + s.ip(50)}, func() string { return last(p, baresipShows) }}
	},
	"linphonec": func(s *site) *tunneller {
		// It gives its subscriptions up where there is no way to the Internet.
		_, _ = command("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
		_, _ = command("ip", "route", "add", "default", "dev", "lo", "src", "192.0.2.1")
		port := 20000 + os.Getpid()%20000 + int(linphones.Add(1))
		p := s.startLinphone("alice", port)
		number := strconv.Itoa(port)
		return &tunneller{[]string{"udp sport " + number, "udp dport " + number}, func() string { return last(p, linphoneShows) }}
	},
}

// TestTunnelOfPhones: baresip and linphonec, as they are, that the network is cut off from
// have the newest state soon after it is back, in the dialog that they had, with Kamailio
// as the core and as the server. Nobody gets a MESSAGE, and the server's row stays.
func TestTunnelOfPhones(t *testing.T) {
	t.Parallel()
	if !networkFor(t, 5*time.Minute, "nft") {
		return
	}
	lasts := []time.Duration{5 * time.Second, 40 * time.Second}
	if os.Getenv("TUNNEL") != "" {
		lasts = append(lasts, 3*time.Minute)
	}
	for name, start := range tunnellers {
		for _, out := range lasts {
			t.Run(fmt.Sprint(name, "-", out), func(t *testing.T) {
				t.Parallel()
				c := startTunnel(t, start, nil)
				c.passThrough(out)
			})
		}
	}
}

// A tunnelCase is a phone between Kamailio and Kamailio.
type tunnelCase struct {
	*site
	server *presence
	core   *core
	r      *rewatch
	mirror *mirror
	phone  *tunneller
	row    []string

	bob    *peer
	etag   string
	states int
}

// publishes changes the state of bob: "open" or "closed".
func (c *tunnelCase) publishes(basic string) {
	c.t.Helper()
	c.states++
	body := `<?xml version="1.0" encoding="UTF-8"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:bob@ims.example">` +
		`<tuple id="t"><status><basic>` + basic + `</basic></status><note>state ` + strconv.Itoa(c.states) + `.</note></tuple></presence>`
	lines := []string{
		"From: <sip:bob@ims.example>;tag=" + token("p"), "To: <sip:bob@ims.example>", "Call-ID: " + token("publish"), "CSeq: 1 PUBLISH",
		"Event: presence", "Expires: 3600", "Content-Type: application/pidf+xml",
	}
	if c.etag != "" {
		lines = append(lines, "SIP-If-Match: "+c.etag)
	}
	r := c.bob.do("udp", c.ip(20)+":5060", c.bob.request("udp", "PUBLISH", "sip:bob@ims.example", body, lines...), patience)
	if r == nil || r.status != 200 {
		c.t.Fatal("PUBLISH:", r)
	}
	c.etag = r.get("sip-etag")
}

func startTunnel(t *testing.T, start func(s *site) *tunneller, vars env) *tunnelCase {
	t.Helper()
	c := &tunnelCase{site: newSite(t)}
	c.server, c.core, c.mirror, c.bob = c.startPresence(), c.startCore(), c.startMirror(), c.peer("bob", 49, 5060, nil)
	all := defaults(env{"REWATCH_REDELIVER": "10m", "REWATCH_HEP": c.mirror.addr, "REWATCH_HEP_ID": "7", "REWATCH_LOG_LEVEL": "debug"})
	maps.Copy(all, vars)
	c.r = c.startRewatch(all)
	c.publishes("open")
	c.phone = start(c.site)
	eventually(t, 3*patience, "the phone is subscribed and notified", func() bool {
		return len(c.server.watchers("alice")) == 1 && c.r.metric("rewatch_notify_total", `result="ok"`) >= 1
	})
	c.publishes("closed") // baresip tells of changes only
	eventually(t, patience, "the phone shows that bob is away", func() bool { return c.phone.shows() == "offline" })
	c.row = c.server.watchers("alice")
	return c
}

// passThrough cuts the phone off for a time in which bob's state changes. rest is what the
// phone may need after it.
func (c *tunnelCase) passThrough(out time.Duration) {
	c.t.Helper()
	if len(c.row) != 1 {
		c.t.Fatal("active_watchers:", c.row)
	}
	lift := c.phone.enter(c.t, "tunnel"+strings.ReplaceAll(c.net, ".", "x"))
	began := time.Now()
	for _, basic := range []string{"open", "closed", "open"} {
		c.publishes(basic)
	}
	c.waits(began, out)
	if shows := c.phone.shows(); shows != "offline" {
		c.t.Fatal("in the tunnel the phone shows", shows)
	}
	lift()
	back := time.Now()
	eventually(c.t, max(10*time.Second, out/2), "the phone shows the newest state", func() bool { return c.phone.shows() == "online" })
	c.t.Logf("after %s in the tunnel it shows the newest state %s after its end", out, time.Since(back).Round(10*time.Millisecond))
	holds(c.t, 6*time.Second, "it goes on showing it", func() bool { return c.phone.shows() == "online" })
	c.goesOn()
}

// waits lets the time in the tunnel pass. The server keeps the subscription.
func (c *tunnelCase) waits(began time.Time, out time.Duration) {
	c.t.Helper()
	for time.Since(began) < out {
		if now := c.server.watchers("alice"); !slices.Equal(now, c.row) {
			c.t.Fatalf("after %s active_watchers: %v, was %v", time.Since(began), now, c.row)
		}
		time.Sleep(min(2*time.Second, out-time.Since(began)))
	}
}

// goesOn says that all is as before: the next state comes, in the same dialog, and nobody
// was told of anything.
func (c *tunnelCase) goesOn() {
	c.t.Helper()
	c.publishes("closed")
	eventually(c.t, patience, "the next state comes as ever", func() bool { return c.phone.shows() == "offline" })
	eventually(c.t, patience, "nothing is kept", func() bool { return c.r.metric("rewatch_redeliver_kept") == 0 })
	if now := c.server.watchers("alice"); !slices.Equal(now, c.row) {
		c.t.Errorf("active_watchers: %v, was %v", now, c.row)
	}
	if n := c.r.metric("rewatch_messages_total"); n > 0 || c.mirror.count("MESSAGE") > 0 || c.mirror.count("NOTIFY") == 0 {
		c.t.Errorf("%v MESSAGEs, %d were seen, and %d NOTIFYs", n, c.mirror.count("MESSAGE"), c.mirror.count("NOTIFY"))
	}
}
