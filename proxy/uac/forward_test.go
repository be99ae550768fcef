package uac

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

const keptRequest = "REGISTER sip:bob@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx\r\nFrom: <sip:scscf.ims.example>;tag=a\r\n" +
	"To: <sip:bob@ims.example>\r\nCall-ID: c\r\nCSeq: 7 REGISTER\r\nP-Odd:  as it is \r\nContent-Length: 4\r\n\r\nbody"

// A request of somebody else's is sent as it is, below a Via of ours with a fresh branch
// each time.
func TestForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("200 OK"))
		for range 2 {
			if r := p.client.Forward(context.Background(), dialogs.Server, "sip:127.0.0.1:5070", []byte(keptRequest)); r.Status != 200 {
				t.Fatalf("%+v", r)
			}
		}
		s := p.done()
		if len(s) != 2 || s[0].hop != hopS {
			t.Fatalf("sent %+v", s)
		}
		start, rest, _ := strings.Cut(s[0].text, "\r\n")
		via, rest, _ := strings.Cut(rest, "\r\n")
		if start+"\r\n"+rest != keptRequest || !strings.HasPrefix(via, "Via: SIP/2.0/UDP 127.0.0.1:5062;branch="+BranchPrefix) {
			t.Errorf("sent %q", s[0].text)
		}
		if s[0].text == s[1].text {
			t.Error("the branch is the same")
		}
	})
}

// The server's answer is what comes back; without one it is an error.
func TestForwardResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("503 Service Unavailable"))
		if r := p.client.Forward(context.Background(), dialogs.Server, "sip:127.0.0.1:5070", []byte(keptRequest)); r.Status != 503 {
			t.Errorf("%+v", r)
		}
		p.answer = never
		if r := p.client.Forward(context.Background(), dialogs.Server, "sip:127.0.0.1:5070", []byte(keptRequest)); !errors.Is(r.Err, ErrTimeout) {
			t.Errorf("%+v", r)
		}
		p.done()
		p.down[hopS.Addr] = true
		for _, raw := range []string{keptRequest, "no request", ""} {
			if r := p.client.Forward(context.Background(), dialogs.Server, "sip:127.0.0.1:5070", []byte(raw)); r.Err == nil {
				t.Errorf("%q: %+v", raw, r)
			}
		}
		if r := p.client.Forward(context.Background(), dialogs.Server, "sip:nowhere", []byte(keptRequest)); r.Err == nil {
			t.Errorf("%+v", r)
		}
	})
}

// What the response says of a retry is told.
func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "30": 30 * time.Second, "18000;duration=3600": 5 * time.Hour, "120 (I'm in a meeting)": 2 * time.Minute, "5(x)": 5 * time.Second,
		"soon": 0, "-1": 0, "99999999999999999999": (1<<31 - 1) * time.Second, "0": 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, always("503 Service Unavailable", "Retry-After: "+value))
			r := p.client.Forward(context.Background(), dialogs.Server, "sip:127.0.0.1:5070", []byte(keptRequest))
			if p.done(); r.Status != 503 || r.RetryAfter != want {
				t.Errorf("%q: %+v", value, r)
			}
		})
	}
}

// Another hop is asked after a 503, and a 503 is told where the others refuse.
func TestForwardNextHop(t *testing.T) {
	for _, down := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, func(n int, s sent) []string {
				return []string{respond(s, map[int]string{1: "503 Service Unavailable", 2: "200 OK"}[n])}
			})
			second := hopS
			second.Addr = hopB.Addr
			p.down[hopB.Addr] = down
			p.hops["sip:127.0.0.1:5070"] = []Hop{hopS, second}
			want := map[bool]int{false: 200, true: 503}[down]
			if r := p.client.Forward(context.Background(), dialogs.Server, "sip:127.0.0.1:5070", []byte(keptRequest)); r.Status != want {
				t.Errorf("%+v, want %d", r, want)
			}
			p.done()
		})
	}
}

// One that is too long for a datagram goes by TCP, and by UDP where that is refused.
func TestForwardLarge(t *testing.T) {
	long := strings.Replace(keptRequest, "P-Odd:", "P-Odd: "+strings.Repeat("x", maxUDP), 1)
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, always("200 OK"))
		p.client.Forward(context.Background(), dialogs.Server, "sip:127.0.0.1:5070", []byte(long))
		if s := p.done(); len(s) != 1 || s[0].hop.Transport != wire.TCP || !strings.Contains(s[0].text, "Via: SIP/2.0/TCP ") {
			t.Errorf("sent %+v", s)
		}
	})
	hops := bySize([]target{{hop: hopS}, {hop: hopT}}, len(long))
	if len(hops) != 3 || hops[0].hop.Transport != wire.TCP || hops[1].hop != hopS || hops[2].hop != hopT {
		t.Errorf("%+v", hops)
	}
	if hops := bySize([]target{{hop: hopS}}, maxUDP); len(hops) != 1 || hops[0].hop.Hop != (resolve.Hop{Transport: wire.UDP, Addr: hopS.Addr}) {
		t.Errorf("%+v", hops)
	}
}
