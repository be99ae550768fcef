package proxy

import (
	"bytes"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// hop is one place to send a request to, from the given side.
type hop struct {
	addr    netip.AddrPort
	name    string // server name of TLS
	side    dialogs.Side
	network network
	// upgraded: TCP for the size of the request alone; UDP is left to try.
	upgraded bool
}

// candidates resolves a destination into the hops to try in turn, which are in
// w.hops until the next call. pending is set if they are not known yet.
func (w *worker) candidates(d destination) (pending resolve.Target, err error) {
	w.hops = w.hops[:0]
	switch {
	case d.core:
		pending, err = w.coreHops()
	default:
		pending, err = w.lookup(d.uri, d.side)
	}
	if len(w.hops) > 0 {
		w.healthiest()
		return resolve.Target{}, nil
	}
	if err == nil && pending == (resolve.Target{}) {
		err = errNoHop
	}
	return pending, err
}

// lookup appends the hops of one URI.
func (w *worker) lookup(uri []byte, side dialogs.Side) (pending resolve.Target, err error) {
	if h, ok := w.literal(uri, side); ok {
		w.hops = append(w.hops, h)
		return pending, nil
	}
	t, err := w.target(uri)
	if err != nil {
		return pending, err
	}
	hops, ok := w.s.cfg.Resolver.Lookup(t)
	if !ok {
		return t, nil
	}
	for _, h := range hops {
		if n, err := parseNetwork(h.Transport); err == nil {
			w.hops = append(w.hops, hop{side: side, network: n, addr: h.Addr, name: h.ServerName})
		}
	}
	return pending, nil
}

const (
	// maxTargets bounds the URIs that a worker remembers in parsed form, maxTarget
	// the length of each.
	maxTargets = 1024
	maxTarget  = 512
)

// target parses a URI with a name in it. The same few come again and again, so
// they are remembered, and looking one up allocates nothing.
func (w *worker) target(uri []byte) (resolve.Target, error) {
	if t, ok := w.targets[string(uri)]; ok {
		return t, nil
	}
	t, err := resolve.ParseURI(uri)
	if err != nil || len(uri) > maxTarget {
		return t, err
	}
	if w.targets == nil || len(w.targets) >= maxTargets {
		w.targets = make(map[string]resolve.Target)
	}
	w.targets[string(uri)] = t
	return t, nil
}

// coreHops are those of REWATCH_CORE, in the order in which they were named. One
// that is not resolved yet does not hold up the others.
func (w *worker) coreHops() (pending resolve.Target, err error) {
	for _, uri := range w.s.coreURIs {
		wait, e := w.lookup(uri, dialogs.Core)
		if e != nil {
			err = e
		}
		if wait != (resolve.Target{}) {
			pending = wait
		}
	}
	if pending != (resolve.Target{}) {
		err = nil
	}
	return pending, err
}

// healthiest puts the first hop that has not failed lately in front; those before
// it come last.
func (w *worker) healthiest() {
	if len(w.hops) < 2 {
		return
	}
	for i, h := range w.hops {
		if w.s.badHops.has(h.addr, w.now) {
			continue
		}
		if i > 0 {
			n := len(w.hops)
			w.hops = append(w.hops, w.hops[:i]...)
			copy(w.hops, w.hops[i:])
			w.hops = w.hops[:n]
		}
		return
	}
}

// markBad remembers for a while that a hop failed.
func (w *worker) markBad(h hop) {
	if h.addr.IsValid() {
		w.s.badHops.add(h.addr, w.now)
	}
}

// maxUDP is the size above which a request leaves by a stream (RFC 3261 18.1.1).
const maxUDP = 1300

// upgraded changes UDP to TCP for a request that leaves with that many bytes, if
// the hop takes TCP.
func (w *worker) upgraded(h hop, size int) hop {
	if h.network != udp || size <= maxUDP {
		return h
	}
	if w.s.local(h.side, tcp, h.addr.Addr()) == nil || w.s.noTCP.has(h.addr, w.now) {
		return h
	}
	h.network, h.upgraded = tcp, true
	return h
}

// literal is the same as the function, and knows the URI of the uppermost Route.
func (w *worker) literal(uri []byte, side dialogs.Side) (hop, bool) {
	p := w.places.find(uri)
	if p == nil {
		return literal(uri, side)
	}
	h := p.hop
	h.side = side
	return h, p.literal
}

// literal gives the hop of a URI whose host is an address, without the resolver
// and without allocating.
func literal(uri []byte, side dialogs.Side) (hop, bool) {
	u, ok := wire.ParseURI(uri)
	if !ok || !isAddress(u.Host) || (!wire.EqualFold(u.Scheme, "sip") && !wire.EqualFold(u.Scheme, "sips")) {
		return hop{}, false
	}
	if _, maddr := wire.Param(u.Params, "maddr"); maddr {
		return hop{}, false
	}
	ip, ok := parseIP(u.Host)
	if !ok {
		return hop{}, false
	}
	h := hop{side: side}
	if t, ok := wire.Param(u.Params, "transport"); ok {
		switch {
		case wire.EqualFold(t, "udp"):
		case wire.EqualFold(t, "tcp"):
			h.network = tcp
		case wire.EqualFold(t, "tls"):
			h.network = tlsnet
		default:
			return hop{}, false // the resolver says what is wrong with it
		}
	}
	if wire.EqualFold(u.Scheme, "sips") {
		h.network = tlsnet
	}
	port := u.Port
	if port == 0 {
		port = 5060
		if h.network == tlsnet {
			port = 5061
		}
	}
	h.addr = netip.AddrPortFrom(ip, uint16(port)) //nolint:gosec // checked by ParseURI
	return h, true
}

// isAddress tells an IP address from a name by its look, without allocating.
func isAddress(host []byte) bool {
	if bytes.IndexByte(host, ':') >= 0 {
		return true
	}
	dots := 0
	for _, c := range host {
		switch {
		case c == '.':
			dots++
		case c < '0' || c > '9':
			return false
		}
	}
	return dots == 3
}

// parseIP reads an address; dotted quads without allocating.
func parseIP(b []byte) (netip.Addr, bool) {
	if bytes.IndexByte(b, ':') >= 0 {
		ip, err := netip.ParseAddr(string(b))
		return ip.Unmap(), err == nil
	}
	var quad [4]byte
	i, n, digits := 0, 0, 0
	for _, c := range b {
		if c == '.' {
			if digits == 0 || i == 3 {
				return netip.Addr{}, false
			}
			quad[i] = byte(n)
			i, n, digits = i+1, 0, 0
			continue
		}
		if c < '0' || c > '9' {
			return netip.Addr{}, false
		}
		n = n*10 + int(c-'0')
		if digits++; n > 255 || digits > 3 {
			return netip.Addr{}, false
		}
	}
	if i != 3 || digits == 0 {
		return netip.Addr{}, false
	}
	quad[3] = byte(n)
	return netip.AddrFrom4(quad), true
}
