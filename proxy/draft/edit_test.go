package draft

import (
	"net/netip"
	"testing"

	"rewatch/proxy/wire"
)

// TestHopEdits makes every edit that a hop may need, of a message that needs them all.
func TestHopEdits(t *testing.T) {
	const rest = "From: <sip:a@x>;tag=a\r\nTo: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 SUBSCRIBE\r\n\r\n"
	for _, fields := range []string{"", "Max-Forwards: 70\r\nExpires: 9000\r\nRecord-Route: <sip:x;lr>\r\n"} {
		for _, via := range []string{"x", "x;rport;received=192.0.2.1"} {
			var d Draft
			if !d.Load([]byte("SUBSCRIBE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP " + via + ";branch=z9hG4bKa\r\n" + fields + rest)) {
				t.Fatal("it cannot be read")
			}
			d.Received(netip.MustParseAddrPort("192.0.2.2:5060"))
			d.RecordRoute("sip:up;lr", "", "sip:low;lr")
			d.CountDown()
			d.LimitExpires(60)
			d.ContentLength()
			d.PushVia(wire.UDP, "x:5060", Branch{Key: 1})
			if n := wire.MaxEdits - d.Edits.Room(); n > HopEdits {
				t.Errorf("%d edits", n)
			}
		}
	}
}
