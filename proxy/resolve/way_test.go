package resolve

import (
	"net/netip"
	"testing"

	"rewatch/proxy/wire"
)

// TestWay: hops are one if they are one way to one peer, whatever else is known of them; the
// other transport is left where none is named.
func TestWay(t *testing.T) {
	at := func(over wire.Transport, addr string, change ...func(*Hop)) Hop {
		h := Hop{Transport: over, Addr: netip.MustParseAddrPort(addr)}
		for _, f := range change {
			f(&h)
		}
		return h
	}
	named := func(n string) func(*Hop) { return func(h *Hop) { h.ServerName = n } }
	either := func(h *Hop) { h.Either = true }
	const a, b = "192.0.2.1:5060", "192.0.2.2:5060"
	for _, c := range []struct {
		name string
		x, y Hop
		same bool
	}{
		{"the transport is named once", at(wire.UDP, a), at(wire.UDP, a, either), true},
		{"upgraded", at(wire.TCP, a), at(wire.TCP, a, func(h *Hop) { h.Upgraded = true }), true},
		{"another rank", at(wire.UDP, a), at(wire.UDP, a, func(h *Hop) { h.Rank.Group = 2 }), true},
		{"a name is nothing to UDP", at(wire.UDP, a), at(wire.UDP, a, named("x.example")), true},
		{"nor to TCP", at(wire.TCP, a), at(wire.TCP, a, named("x.example")), true},
		{"another certificate", at(wire.TLS, a, named("y.example")), at(wire.TLS, a, named("x.example")), false},
		{"an address is a name", at(wire.TLS, a, named("192.0.2.1")), at(wire.TLS, a), true},
		{"another address", at(wire.UDP, a), at(wire.UDP, b), false},
		{"another port", at(wire.UDP, a), at(wire.UDP, "192.0.2.1:5061"), false},
		{"another transport", at(wire.UDP, a), at(wire.TCP, a), false},
	} {
		if (c.x.Way() == c.y.Way()) != c.same {
			t.Errorf("%s: %+v and %+v", c.name, c.x.Way(), c.y.Way())
		}
	}
	for _, h := range []Hop{at(wire.UDP, a), at(wire.TCP, a, either), at(wire.TLS, a, either)} {
		if other, ok := h.Otherwise(); ok {
			t.Errorf("%+v also by %+v", h, other)
		}
	}
	if other, ok := at(wire.UDP, a, either).Otherwise(); !ok || other != at(wire.TCP, a) {
		t.Errorf("%+v, %t", other, ok)
	}
}
