package sidecar

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/ladder"
	"rewatch/dialogs/redelivery"
)

const keptRaw = "NOTIFY sip:alice@10.0.0.9 SIP/2.0\r\nFrom: <sip:bob@ims.example>;tag=s\r\nTo: <sip:alice@ims.example>;tag=a\r\n" +
	"Call-ID: c1\r\nCSeq: 7 NOTIFY\r\nEvent: presence;id=1\r\nContent-Length: 0\r\n\r\n"

// TestLadderOfADelivery: the ladder has what was kept, each try with its outcome, and how
// that ended.
func TestLadderOfADelivery(t *testing.T) {
	p := builtProcess(t)
	notes, at := keptNotes{p}, time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	hop := netip.MustParseAddrPort("10.0.0.7:5060")
	n := &redelivery.Notify{User: "sip:alice@ims.example", Hop: hop, Parcel: dialogs.Parcel{Raw: []byte(keptRaw)}}
	notes.Kept(at, n, 1, at)
	behind := *n
	behind.Hop = netip.AddrPort{}
	notes.Kept(at.Add(time.Second), &behind, 2, at)
	a := &redelivery.Attempt{User: n.User, Try: 1, At: at.Add(5 * time.Second), Parcel: n.Parcel}
	notes.Tried(a, &dialogs.Outcome{At: at.Add(6 * time.Second), Status: 480, Reason: []byte("Away"), Tries: []dialogs.Try{
		{Why: "491", At: at.Add(5500 * time.Millisecond), Hop: hop, Transport: "udp"},
	}})
	a.Try, a.At = 2, at.Add(16*time.Second)
	notes.Tried(a, &dialogs.Outcome{At: at.Add(40 * time.Second), Kind: dialogs.TimedOut})
	a.Try, a.At = 3, at.Add(50*time.Second)
	notes.Tried(a, &dialogs.Outcome{At: at.Add(51 * time.Second), Kind: dialogs.Unreachable})
	v := p.engine.Recoveries()[0]
	if b := v.Broken[0]; !v.Delivery || v.Kept.NOTIFYs != 2 || b.Event != "presence" || b.Resource != "sip:bob@ims.example" || b.CallID != "c1" {
		t.Errorf("%+v", v)
	}
	var got []string
	for _, s := range v.Steps {
		got = append(got, s.From+" "+s.To+" "+s.What)
	}
	want := `rewatch server 200 OK, kept for the phone
server rewatch NOTIFY presence
rewatch server 200 OK, kept behind an earlier one
rewatch core NOTIFY presence, try 1
rewatch core NOTIFY presence again upon 491, by udp 10.0.0.7:5060
core rewatch 480 Away
rewatch core NOTIFY presence, try 2
rewatch rewatch no response
rewatch core NOTIFY presence, try 3
rewatch rewatch next hop unreachable`
	if shown := strings.Join(got, "\n"); shown != want {
		t.Errorf("got\n%s", shown)
	}
	for result, shown := range map[redelivery.Result]string{
		redelivery.Delivered: ladder.ResultDelivered, redelivery.Dropped: ladder.ResultDropped, redelivery.GivenBack: ladder.ResultGivenBack,
	} {
		notes.Kept(at, n, 1, at)
		notes.Ended(at, &redelivery.End{User: n.User, Result: result}, 0, time.Time{})
		if v := p.engine.Recoveries()[0]; v.Result != shown || v.Kept != nil {
			t.Errorf("%s: %+v", result, v)
		}
	}
}
