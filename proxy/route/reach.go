package route

import "net/netip"

// Reach is where requests toward the core side may go. The zero Reach is everywhere.
type Reach struct {
	// Only, if not nil, are the networks that may be reached.
	Only []netip.Prefix
	// Never are those that may not, whatever Only says.
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

// nobody are networks in which no neighbour of the core lives: the address of no host,
// which leads to this one, and multicast.
var nobody = prefixes("0.0.0.0/8", "::/128", "224.0.0.0/4", "ff00::/8")

// local are those of this host, and of its link, by class.
var local = [][]netip.Prefix{prefixes("127.0.0.0/8", "::1/128"), prefixes("169.254.0.0/16", "fe80::/10")}

func prefixes(list ...string) (ps []netip.Prefix) {
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// DefaultReach is everywhere but the loopback, link-local addresses and the host's own.
// Where the core side is bound to such an address itself, its neighbours are there too:
// then that class, or that address of the host's, can be reached.
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
