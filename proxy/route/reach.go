package route

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// Reach is where requests toward the core side may be sent. The zero Reach is everywhere.
type Reach struct {
	// Only, if not nil, are the networks that may be reached.
	Only []netip.Prefix
	// Never are the networks that may not be reached, even if Only has them.
	Never []netip.Prefix
}

// Contains tells whether an address may be reached.
func (r *Reach) Contains(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, p := range r.Never {
		if p.Contains(ip) {
			return false
		}
	}
	for _, p := range r.Only {
		if p.Contains(ip) {
			return true
		}
	}
	return r.Only == nil
}

// nobody are networks without a neighbour: the unspecified address, which leads to this host,
// and multicast.
var nobody = prefixes("0.0.0.0/8", "::/128", "224.0.0.0/4", "ff00::/8")

// local are the loopback and the link-local networks.
var local = [][]netip.Prefix{prefixes("127.0.0.0/8", "::1/128"), prefixes("169.254.0.0/16", "fe80::/10")}

func prefixes(list ...string) (ps []netip.Prefix) {
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// DefaultReach is everywhere but the loopback, link-local addresses and the host's own.
// If the core side is bound to such an address itself, its neighbours are there too: then
// that network, or that address of the host, can be reached.
func DefaultReach(bound, own []netip.Addr) Reach {
	never := append([]netip.Prefix(nil), nobody...)
	excepted := func(class ...netip.Prefix) bool {
		for _, ip := range bound {
			for _, p := range class {
				if p.Contains(ip.Unmap().WithZone("")) {
					return true
				}
			}
		}
		return false
	}
	for _, class := range local {
		if !excepted(class...) {
			never = append(never, class...)
		}
	}
	for _, ip := range own {
		ip = ip.Unmap().WithZone("")
		p := netip.PrefixFrom(ip, ip.BitLen())
		if !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !excepted(p) {
			never = append(never, p)
		}
	}
	return Reach{Never: never}
}

// inDialog finds the hops of the Route or Request-URI of a request. A phone wrote them, or the
// server, which copies them from a phone. So toward the server side they may lead only to the
// server or to a host that the server has named, toward the core side only to within Reach.
func (r *Router) inDialog(d Decision, callID []byte, now time.Time) (pending resolve.Target, err error) {
	if d.Toward == dialogs.Server {
		if pending, err = r.named(d.URI, now); err != nil || pending != (resolve.Target{}) {
			return pending, err
		}
	}
	if pending, err = r.lookup(d.URI, callID); err != nil || len(r.Hops) == 0 {
		return pending, err
	}
	if d.Toward == dialogs.Core {
		r.Hops = slices.DeleteFunc(r.Hops, func(h resolve.Hop) bool { return !r.within(h) })
		err = ErrReach
	}
	if len(r.Hops) > 0 && r.Hops[0].Transport != wire.UDP {
		r.Hops = slices.DeleteFunc(r.Hops, func(h resolve.Hop) bool { return !r.Speaks(d.Toward, h.Transport, h.Addr.Addr()) })
		err = ErrNoSocket // which says nothing about the hop
	}
	if len(r.Hops) > 0 {
		return pending, nil
	}
	return pending, err
}

// named checks that a URI leads to the server or to a host that the server has named; else
// it is ErrReach. The addresses of the server may have to be resolved first.
func (r *Router) named(uri []byte, now time.Time) (pending resolve.Target, err error) {
	var room [320]byte
	host, ok := AppendHost(room[:0], uri)
	if !ok {
		return pending, ErrReach
	}
	if r.Hosts.Named(host, now) {
		return pending, nil
	}
	var own [320]byte
	if server, ok := AppendHost(own[:0], r.Server); ok && bytes.Equal(host, server) {
		return pending, nil
	}
	h, literal := r.Literal(uri)
	if !literal {
		return pending, ErrReach
	}
	pending, err = r.lookup(r.Server, nil)
	found := slices.ContainsFunc(r.Hops, func(at resolve.Hop) bool { return at.Addr == h.Addr })
	r.Hops = r.Hops[:0]
	switch {
	case err != nil || pending != (resolve.Target{}):
		return pending, err
	case !found:
		return pending, ErrReach
	}
	return pending, nil
}

// within tells whether a hop on the core side may be reached: Reach has it, or it is one of
// REWATCH_CORE.
func (r *Router) within(h resolve.Hop) bool {
	if r.Reach.Contains(h.Addr.Addr()) {
		return true
	}
	for _, uri := range r.Core {
		if at, ok := Literal(uri); ok {
			if at.Addr == h.Addr {
				return true
			}
			continue
		}
		t, err := r.target(uri)
		if err != nil {
			continue
		}
		hops, _ := r.Lookup(t)
		if slices.ContainsFunc(hops, func(at resolve.Hop) bool { return at.Addr == h.Addr }) {
			return true
		}
	}
	return false
}
