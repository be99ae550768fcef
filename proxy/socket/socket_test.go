package socket

import (
	"net"
	"net/netip"
	"testing"

	"rewatch/dialogs"
	"rewatch/proxy/route"
	"rewatch/proxy/wire"
)

// TestOwnName tells our names by what they mean.
func TestOwnName(t *testing.T) {
	ns := route.Names{route.NewName("Pod.example", 5060, 7, 0), route.NewName("10.0.0.1", 5061, 7, 0), route.NewName("fd00::1", 5060, 7, 0), route.NewName("Dotted.example.", 5060, 7, 0)}
	for uri, own := range map[string]bool{
		"sip:pod.example": true, "sip:x@POD.EXAMPLE.:5060": true, "sip:pod.example:5061": false, "sips:10.0.0.1": true,
		"sip:10.0.0.1;transport=TLS": true, "sip:10.0.0.1": false, "sip:[FD00:0::0001]": true, "sip:[fd00::2]": false, "sip:pod": false,
		"sip:dotted.example": true, "sip:DOTTED.example.:5060": true, "sip:dotted.example;transport=tls": false,
		"sip:[::ffff:10.0.0.1]:5061": true, "sip:[::FFFF:a00:1]:5061": true, "sip:010.0.0.001:5061": true, "sip:.": false,
	} {
		u, ok := wire.ParseURI([]byte(uri))
		if !ok || (ns.URI(&u) != nil) != own {
			t.Error(uri)
		}
	}
	s := &Set{Names: ns}
	for via, own := range map[string]bool{
		"SIP/2.0/TLS 10.0.0.1;branch=z9hG4bKrw": true, "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKrw": false,
		"SIP/2.0/UDP [FD00:0::1];branch=z9hG4bKrw": true,
	} {
		v, ok := wire.ParseVia([]byte(via))
		if !ok || s.OwnVia(&v) != own {
			t.Error(via)
		}
	}
}

// TestSIPSRecordRoute: a request for a sips URI gets the sips URI of a TLS socket (RFC
// 3261 16.6 step 4), and stays with it in the dialog.
func TestSIPSRecordRoute(t *testing.T) {
	me, _, err := newSocket(0, Listener{Side: dialogs.Core, Network: "tls", Stream: fakeListener{}})
	if err != nil {
		t.Fatal(err)
	}
	if got := me.RecordRoute(true); got != "sips:10.0.0.1:5061;lr;rw" {
		t.Error(got)
	}
	if got := me.RecordRoute(false); got != "sip:10.0.0.1:5061;transport=tls;lr;rw" {
		t.Error(got)
	}
}

type fakeListener struct{ net.Listener }

func (fakeListener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.1:5061"))
}

// TestSelf: a socket goes by the address that it is bound to, or else by the advertised one.
func TestSelf(t *testing.T) {
	for _, c := range []struct{ bound, advertised, want string }{
		{"10.0.0.1:5060", "192.0.2.1", "10.0.0.1:5060"},
		{"[::ffff:10.0.0.1]:5060", "x", "10.0.0.1:5060"},
		{"0.0.0.0:5060", "192.0.2.1", "192.0.2.1:5060"},
		{"[::]:5062", "fd00::1", "[fd00::1]:5062"},
	} {
		if got := selfOf(netip.MustParseAddrPort(c.bound), c.advertised); got.String() != c.want {
			t.Errorf("%s advertised as %s: %s", c.bound, c.advertised, got)
		}
	}
	if a := selfOf(netip.MustParseAddrPort("0.0.0.0:5060"), "host.example"); !a.IsValid() || a.Port() != 5060 {
		t.Errorf("%s", a)
	}
}
