package route

import (
	"net/netip"

	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// Literal is the function Literal, but looks into the cache of Route entries first.
func (r *Router) Literal(uri []byte) (resolve.Hop, bool) {
	p := r.cache.find(uri)
	if p == nil {
		return Literal(uri)
	}
	return p.hop, p.literal
}

// Literal gives the hop of a URI whose host is an address, without the resolver
// and without allocating.
func Literal(uri []byte) (resolve.Hop, bool) {
	u, ok := wire.ParseURI(uri)
	if !ok || !wire.EqualFold(u.Scheme, "sip") && !wire.EqualFold(u.Scheme, "sips") {
		return resolve.Hop{}, false
	}
	if _, maddr := wire.Param(u.Params, "maddr"); maddr {
		return resolve.Hop{}, false
	}
	ip, ok := wire.ParseIP(u.Host)
	if !ok {
		return resolve.Hop{}, false
	}
	h := resolve.Hop{Transport: wire.UDP, Either: true}
	if t, ok := wire.Param(u.Params, "transport"); ok {
		h.Either = false
		switch {
		case wire.EqualFold(t, "udp"):
		case wire.EqualFold(t, "tcp"):
			h.Transport = wire.TCP
		case wire.EqualFold(t, "tls"):
			h.Transport = wire.TLS
		default:
			return resolve.Hop{}, false // the resolver gives the error
		}
	}
	if wire.EqualFold(u.Scheme, "sips") {
		h.Transport, h.Either = wire.TLS, false
	}
	port := u.Port
	if port == 0 {
		port = 5060
		if h.Transport == wire.TLS {
			port = 5061
		}
	}
	h.Addr = netip.AddrPortFrom(ip, uint16(port)) //nolint:gosec // checked by ParseURI
	return h, true
}
