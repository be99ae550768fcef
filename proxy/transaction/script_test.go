package transaction

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

var standard = Rules{T1: 500 * time.Millisecond, T2: 4 * time.Second, NotifyTimeout: 28 * time.Second, Retry: true}

// hopOf reads "a", "b/tcp", "c/up": a hop by its last address, a transport, or one that
// is TCP for the size of the request alone.
func hopOf(s string) resolve.Hop {
	name, over, _ := strings.Cut(s, "/")
	h := resolve.Hop{Transport: wire.UDP, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, name[0]}), 5060)}
	if over != "" {
		h.Upgraded, h.Either = over == "up", over == "any"
		if !h.Either {
			h.Transport = wire.TCP
		}
	}
	return h
}

func nameOf(h resolve.Hop) string {
	s := string(rune(h.Addr.Addr().As4()[3]))
	if h.Transport == wire.TCP {
		s += "/tcp"
	}
	return s
}

var actionNames = []struct {
	a    Action
	name string
}{
	{Bad, "bad"},
	{NoTCP, "notcp"},
	{Acknowledge, "ack"},
	{Release, "release"},
	{Send, "send"},
	{Forward, "forward"},
	{Hold, "hold"},
	{Trying, "100"},
	{Answer, "answer"},
	{Relay, "relay"},
	{Keep, "keep"},
	{Forget, "forget"},
	{Stray, "stray"},
	{Postponed, "postponed"},
}

// shown writes an effect as the scripts do.
func shown(e Effect) string {
	if !e.Known {
		return "unknown"
	}
	var list []string
	for _, n := range actionNames {
		if !e.Do.Has(n.a) {
			continue
		}
		switch n.a { //nolint:exhaustive // the others stand for themselves
		case Send, Forward:
			list = append(list, fmt.Sprintf("%s %s#%d", n.name, nameOf(e.Hop), e.Attempt))
		case Bad, NoTCP:
			list = append(list, n.name+" "+nameOf(e.Failed))
		default:
			list = append(list, n.name)
		}
	}
	if e.End != NotOver {
		end := [...]string{Responded: "responded", TimedOut: "timed out", Unreachable: "unreachable", Crowded: "crowded", TooLong: "too long"}[e.End]
		if e.Late {
			end += " late"
		}
		if e.Refusal != nil {
			end += " after 503 of " + nameOf(e.Refusal.Hop)
		}
		for i, t := range e.Tries {
			end += []string{" again upon ", ", "}[min(i, 1)] + t.Why.String()
		}
		list = append(list, "= "+end)
	}
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, ", ")
}

// stage plays a script: "when: event" with what follows from it. The times are since
// the beginning, in milliseconds.
type stage struct {
	*testing.T

	t Transaction
}

func (g *stage) begin(kind, from string, hops ...string) {
	q := Request{
		Kind: map[string]Kind{"NOTIFY": Notify, "INVITE": Invite, "CANCEL": Cancel, "MESSAGE": Other}[kind],
		From: Origin{Reliable: from == "tcp"}, Whole: true,
	}
	for _, h := range hops {
		q.Hops = append(q.Hops, hopOf(h))
	}
	g.t.empty()
	g.t.begin(Now{At: 1, Rules: &standard}, &q)
}

var causes = map[string]Cause{"refused": Refused, "stale": Stale, "closed": Closed, "interrupted": Interrupted, "overloaded": Overloaded, "oversized": Oversized}

func (g *stage) play(line string) string {
	when, what, _ := strings.Cut(line, ": ")
	ms, err := strconv.Atoi(when)
	if err != nil {
		g.Fatal(line)
	}
	now := Now{At: Moment(1).Add(time.Duration(ms) * time.Millisecond), Rules: &standard}
	words := strings.Fields(what)
	switch words[0] {
	case "time":
		return shown(g.t.expire(now))
	case "again":
		return shown(g.t.repeat(g.t.from))
	case "ACK", "CANCEL":
		return shown(g.t.follow(words[0] == "ACK"))
	case "fail":
		return shown(g.t.fail(now, &Failure{Cause: causes[words[1]]}))
	}
	status, _ := strconv.Atoi(words[0])
	q := Response{Kind: g.t.kind, Status: status, Attempt: g.t.attempt, Wait: -1}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "wait":
			q.Wait = time.Duration(n) * time.Millisecond
		case "attempt":
			q.Attempt = uint8(n) //nolint:gosec // small
		}
	}
	return shown(g.t.respond(now, &q))
}

// TestScripts is the table of transitions, by example.
func TestScripts(t *testing.T) {
	for name, c := range map[string]struct {
		begin  string // method, transport that it came by, hops
		script string
	}{
		"NOTIFY answered": {"NOTIFY udp a", `
			100: again -> forward a#0
			200: 200   -> relay, forget, = responded`},
		"NOTIFY refused": {"NOTIFY udp a", `
			200: 480 -> relay, = responded
			300: again -> -
			400: 200 -> = responded late
			500: 200 -> -
			32300: time -> forget`},
		"NOTIFY unanswered": {"NOTIFY udp a", `
			3500: time  -> 100
			28000: time -> = timed out
			28100: 480 -> = responded late
			28200: 200 -> -`},
		"NOTIFY to the next hop": {"NOTIFY udp a b c", `
			9334: time -> bad a, send b#1, 100
			9400: 503 attempt=0 -> -
			9500: 503 -> bad b, send c#2
			9600: 503 -> relay, = responded again upon silence, 503`},
		"503, and the next hop is dead": {"NOTIFY udp a b", `
			10: 503 -> bad a, send b#1
			20: fail refused -> bad b, = unreachable after 503 of a again upon 503`},
		"503 for a while, and the next hop is dead": {"NOTIFY udp a b", `
			10: 503 wait=2000 -> bad a, send b#1
			20: fail refused -> bad b
			2020: time -> send a#2
			2030: 503 wait=60000 -> relay, = responded again upon 503, retry-after`},
		"503 for longer, and the next hop is dead": {"NOTIFY udp a b", `
			10: 503 wait=60000 -> bad a, send b#1
			20: fail refused -> bad b, = unreachable after 503 of a again upon 503`},
		"503, and silence": {"NOTIFY udp a b", `
			10: 503 -> bad a, send b#1
			28000: time -> = timed out again upon 503`},
		"503 from one, and the others are dead": {"MESSAGE tcp a/any b", `
			10: fail refused -> bad a, send b#1
			20: 503 -> bad b, send a/tcp#2
			30: fail refused -> bad a/tcp, = unreachable after 503 of b`},
		"the first hop answers late": {"NOTIFY udp a b", `
			14000: time -> bad a, send b#1, 100
			14100: 481 attempt=0 -> relay, = responded again upon silence`},
		"NOTIFY refused by the network": {"NOTIFY udp a b", `
			10: fail refused -> bad a, send b#1
			20: fail refused -> bad b, = unreachable again upon transport
			30: fail refused -> -`},
		"the other transport behind the other address": {"NOTIFY udp a/any b/any", `
			10: fail refused -> bad a, send b#1
			20: fail refused -> bad b, send a/tcp#2
			30: fail refused -> bad a/tcp, send b/tcp#3
			40: fail refused -> bad b/tcp, = unreachable again upon transport, transport, transport`},
		"the other transport answers": {"MESSAGE tcp a/any", `
			10: fail refused -> bad a, send a/tcp#1
			600: 200 -> relay, forget, = responded`},
		"no other transport where one is named": {"NOTIFY udp a", `10: fail refused -> bad a, = unreachable`},
		"no other transport for its size":       {"NOTIFY udp a/any", `10: fail oversized -> = too long`},
		"by TCP first, and then no more": {"NOTIFY udp a/up", `
			10: fail refused -> notcp a/tcp, send a#0
			20: fail refused -> bad a, = unreachable again upon transport`},
		"TCP for its size alone": {"NOTIFY udp a/up b", `
			10: fail refused -> notcp a/tcp, send a#0
			20: fail refused -> bad a, send b#1`},
		"a connection that had stood": {"NOTIFY tcp a/tcp b", `
			10: fail stale -> send a/tcp#0
			20: fail stale -> bad a/tcp, send b#1`},
		"closed in good order twice": {"NOTIFY udp a/tcp", `
			10: fail closed -> send a/tcp#0
			20: fail closed -> -
			30: 200 -> relay, keep, = responded again upon transport`},
		"too long for UDP": {"MESSAGE tcp a b", `
			10: fail oversized -> send b#1
			20: fail oversized -> = too long`},
		"no room for a NOTIFY": {"NOTIFY udp a", `10: fail overloaded -> forget, postponed`},
		"no room for a NOTIFY, TCP": {"NOTIFY tcp a/tcp", `
			10: fail overloaded -> postponed
			510: time -> send a/tcp#0
			520: fail overloaded -> postponed
			1520: time -> send a/tcp#0
			1600: 200 -> relay, forget, = responded`},
		"a connection that rewatch has closed": {"NOTIFY udp a/tcp b", `
			10: fail interrupted -> -
			11: time -> send a/tcp#0
			20: fail interrupted -> -
			270: time -> send a/tcp#0`},
		"no room for another": {"MESSAGE udp a/tcp", `10: fail overloaded -> = crowded`},
		"glare": {"NOTIFY udp a", `
			100: 491 wait=1500 -> -
			500: again -> -
			600: 491 wait=1500 attempt=0 -> -
			1600: time -> send a#1
			1700: again -> forward a#1
			1800: 491 wait=900 attempt=0 -> -
			1900: 200 -> relay, forget, = responded again upon 491`},
		"Retry-After": {"NOTIFY udp a", `
			100: 503 wait=5000 -> -
			3500: time -> 100
			5100: time -> send a#1
			5200: 480 wait=30000 -> relay, = responded again upon retry-after`},
		"a 2xx during the pause": {"NOTIFY udp a", `
			100: 500 wait=5000 -> -
			200: 200 attempt=0 -> relay, forget, = responded`},
		"no end of pauses": {"NOTIFY udp a", `
			100: 491 wait=0 -> -
			600: time -> send a#1
			700: 491 wait=0 -> -
			1200: time -> send a#2
			1300: 491 wait=0 -> -
			1800: time -> send a#3
			1900: 491 wait=0 -> relay, = responded again upon 491, 491, 491`},
		"a pause is for NOTIFYs": {"MESSAGE tcp a", `100: 503 wait=1000 -> relay, forget, = responded`},
		"Timer E": {"MESSAGE tcp a", `
			500: time -> send a#0
			1500: time -> send a#0
			3500: time -> send a#0, 100
			7500: time -> send a#0
			7600: 100 -> -
			11500: time -> send a#0
			32000: time -> = timed out`},
		"UDP to TCP, slowly": {"MESSAGE udp a/tcp", `
			500: again -> -
			3500: time -> 100
			3600: again -> 100
			4000: 200 -> relay, keep, = responded`},
		"INVITE whose 100 is lost": {"INVITE udp a/tcp", `
			500: again -> 100
			600: 180 -> relay
			1500: again -> 100
			1600: 200 -> relay, keep, = responded`},
		"UDP to TCP": {"MESSAGE udp a/tcp", `
			100: again -> -
			200: 200 -> relay, keep, = responded
			32200: time -> forget`},
		"INVITE, 503, next hop": {"INVITE tcp a b", `
			100: 503 -> bad a, ack, send b#1
			600: 503 attempt=0 -> ack
			700: 180 -> relay
			800: 200 -> relay, = responded
			900: 200 -> relay`},
		"INVITE refused": {"INVITE tcp a", `
			100: 486 -> ack, relay, = responded
			600: 486 -> ack
			700: ACK -> -`},
		"INVITE refused, to UDP": {"INVITE udp a/tcp", `
			100: 486 -> ack, relay, keep, = responded
			600: time -> answer
			1600: time -> answer
			1700: ACK -> -
			32100: time -> forget`},
		"ACK of a 2xx by the same branch": {"INVITE tcp a", `
			100: 200 -> relay, = responded
			200: ACK -> forward a#0`},
		"a CANCEL that comes too late": {"INVITE tcp a", `
			100: 180 -> relay
			200: 200 -> relay, = responded
			300: CANCEL -> -`},
		"CANCEL waits for a response": {"INVITE tcp a", `
			100: CANCEL -> hold
			500: time -> send a#0
			600: 100 -> release
			700: 487 -> ack, relay, = responded`},
		"no other hop for who has cancelled": {"INVITE tcp a b", `
			100: CANCEL -> hold
			200: 503 -> ack, relay, = responded`},
		"no other hop after a CANCEL that was sent": {"INVITE tcp a b", `
			100: 180 -> relay
			200: CANCEL -> forward a#0
			300: 503 -> ack, relay, = responded`},
		"CANCEL after a response": {"INVITE tcp a", `
			100: 180 -> relay
			200: CANCEL -> forward a#0
			5000: time -> -`},
		"a call in vain": {"INVITE tcp a", `
			500: time -> send a#0
			32000: time -> = timed out
			33000: 486 -> ack
			34000: 200 -> relay`},
		"a call in vain, from UDP": {"INVITE udp a/tcp", `
			32000: time -> = timed out
			32500: time -> answer
			33500: time -> answer
			33600: ACK -> unknown
			64100: time -> forget`},
		"a long ring": {"INVITE tcp a", `
			100: 180 -> relay
			181100: time -> forget, = timed out`},
	} {
		t.Run(name, func(t *testing.T) {
			g := &stage{T: t}
			words := strings.Fields(c.begin)
			g.begin(words[0], words[1], words[2:]...)
			for line := range strings.Lines(c.script) {
				line = strings.TrimSpace(line)
				event, want, ok := strings.Cut(line, "->")
				if !ok {
					continue
				}
				if got := g.play(strings.TrimSpace(event)); got != strings.TrimSpace(want) {
					t.Errorf("%s: got %s", line, got)
				}
			}
		})
	}
}
