package proxy

import (
	"net/netip"

	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// candidates resolves a destination into the hops to try in turn, which are in
// w.hops until the next call. pending is set if they are not known yet.
func (w *worker) candidates(d destination) (pending resolve.Target, err error) {
	w.hops = w.hops[:0]
	switch {
	case d.core:
		pending, err = w.coreHops()
	default:
		pending, err = w.lookup(d.uri)
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
func (w *worker) lookup(uri []byte) (pending resolve.Target, err error) {
	if h, ok := w.literal(uri); ok {
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
	first := len(w.hops)
	w.hops = append(w.hops, hops...)
	if len(hops) > 1 {
		id, _ := w.Msg.Value(wire.CallID)
		resolve.Spread(w.hops[first:], resolve.Flow(id))
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
		wait, e := w.lookup(uri)
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
		if w.s.badHops.has(h.Addr, w.now) {
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
func (w *worker) markBad(h resolve.Hop) {
	if h.Addr.IsValid() {
		w.s.badHops.add(h.Addr, w.now)
	}
}

// maxUDP is the size above which a request leaves by a stream (RFC 3261 18.1.1).
const maxUDP = 1300

// large has a request that is too long for a datagram go by TCP to those of w.hops that
// take it. Of a NOTIFY that goes by UDP all the same TCP is tried when nothing else has
// brought an answer: a datagram of that size may be lost on its way.
func (w *worker) large(from flow) {
	if w.hops[0].Transport != wire.UDP || w.size(from, w.hops[0]) <= maxUDP {
		return
	}
	refused := false
	for i := range w.hops {
		h := &w.hops[i]
		if h.Transport != wire.UDP || w.wayOut(from, wire.TCP, h.Addr.Addr()) == nil {
			continue
		}
		if w.s.noTCP.has(h.Addr, w.now) {
			refused = refused || i == 0
			continue
		}
		h.Transport, h.Upgraded = wire.TCP, true
	}
	if refused && w.s.cfg.Retry && w.notify(from) {
		h := w.hops[0]
		h.Transport = wire.TCP
		w.hops = append(w.hops, h)
	}
}

// literal is the same as the function, and knows the URI of the uppermost Route.
func (w *worker) literal(uri []byte) (resolve.Hop, bool) {
	p := w.places.find(uri)
	if p == nil {
		return literal(uri)
	}
	return p.hop, p.literal
}

// literal gives the hop of a URI whose host is an address, without the resolver
// and without allocating.
func literal(uri []byte) (resolve.Hop, bool) {
	u, ok := wire.ParseURI(uri)
	if !ok || !wire.IsAddress(u.Host) || (!wire.EqualFold(u.Scheme, "sip") && !wire.EqualFold(u.Scheme, "sips")) {
		return resolve.Hop{}, false
	}
	if _, maddr := wire.Param(u.Params, "maddr"); maddr {
		return resolve.Hop{}, false
	}
	ip, ok := wire.ParseIP(u.Host)
	if !ok {
		return resolve.Hop{}, false
	}
	h := resolve.Hop{Transport: wire.UDP}
	if t, ok := wire.Param(u.Params, "transport"); ok {
		switch {
		case wire.EqualFold(t, "udp"):
		case wire.EqualFold(t, "tcp"):
			h.Transport = wire.TCP
		case wire.EqualFold(t, "tls"):
			h.Transport = wire.TLS
		default:
			return resolve.Hop{}, false // the resolver says what is wrong with it
		}
	}
	if wire.EqualFold(u.Scheme, "sips") {
		h.Transport = wire.TLS
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
