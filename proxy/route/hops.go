package route

import (
	"errors"
	"slices"
	"time"

	"rewatch/proxy/resolve"
)

// What ends the search for a next hop.
var (
	ErrNoHop    = errors.New("no next hop")
	ErrNoSocket = errors.New("no socket of that side speaks the next hop's transport")
	// ErrReach: a Route or Request-URI leads to where a request may not go.
	ErrReach = errors.New("out of reach")
)

// Candidates resolves a decision into the hops to try in this order. They are in Hops until the
// next call. Of several equal hops all requests of one Call-ID get the same. pending is set if
// a name has to be resolved first.
func (r *Router) Candidates(d Decision, callID []byte, now time.Time) (pending resolve.Target, err error) {
	r.Hops = r.Hops[:0]
	switch {
	case d.Core:
		pending, err = r.coreHops(callID)
	case d.Server:
		pending, err = r.lookup(d.URI, callID)
	default:
		pending, err = r.inDialog(d, callID, now)
	}
	for len(r.Hops) > 1 && !r.Speaks(d.Toward, r.Hops[0].Transport, r.Hops[0].Addr.Addr()) {
		r.Hops = slices.Delete(r.Hops, 0, 1) // no socket of ours has its family or transport
	}
	if len(r.Hops) > 0 {
		r.distinct()
		r.healthiest(now)
		return resolve.Target{}, nil
	}
	if err == nil && pending == (resolve.Target{}) {
		err = ErrNoHop
	}
	return pending, err
}

// lookup appends the hops of one URI.
func (r *Router) lookup(uri, callID []byte) (pending resolve.Target, err error) {
	if h, ok := r.Literal(uri); ok {
		r.Hops = append(r.Hops, h)
		return pending, nil
	}
	t, err := r.target(uri)
	if err != nil {
		return pending, err
	}
	hops, ok := r.Lookup(t)
	if !ok {
		return t, nil
	}
	first := len(r.Hops)
	r.Hops = append(r.Hops, hops...)
	if len(hops) > 1 {
		resolve.Spread(r.Hops[first:], resolve.Flow(callID))
	}
	return pending, nil
}

const (
	// maxTargets bounds the URIs that a Router remembers in parsed form, maxTarget the length
	// of each.
	maxTargets = 1024
	maxTarget  = 512
)

// target parses a URI with a name in it. There are few different ones, so they are remembered,
// and finding one allocates nothing.
func (r *Router) target(uri []byte) (resolve.Target, error) {
	if t, ok := r.targets[string(uri)]; ok {
		return t, nil
	}
	t, err := resolve.ParseURI(uri)
	if err != nil || len(uri) > maxTarget {
		return t, err
	}
	if r.targets == nil || len(r.targets) >= maxTargets {
		r.targets = make(map[string]resolve.Target)
	}
	r.targets[string(uri)] = t
	return t, nil
}

// coreHops are those of REWATCH_CORE, in their order. A name that is not resolved yet does not
// delay the others.
func (r *Router) coreHops(callID []byte) (pending resolve.Target, err error) {
	for _, uri := range r.Core {
		wait, e := r.lookup(uri, callID)
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

// distinct leaves each way to a peer in its first place: two URIs of REWATCH_CORE, or two records of
// DNS, may lead to one peer, and that is tried once.
func (r *Router) distinct() {
	kept := r.Hops[:1]
	for _, h := range r.Hops[1:] {
		at := slices.IndexFunc(kept, func(k resolve.Hop) bool {
			return k.Addr == h.Addr && k.Transport == h.Transport && k.Way() == h.Way() // which costs a string with TLS
		})
		if at < 0 {
			kept = append(kept, h)
		} else {
			kept[at].Either = kept[at].Either || h.Either
		}
	}
	r.Hops = kept
}

// healthiest moves the hops that failed lately, and are before the first one that did not, to
// the end.
func (r *Router) healthiest(now time.Time) {
	if len(r.Hops) < 2 {
		return
	}
	for i, h := range r.Hops {
		if r.Bad.Has(h.Addr, now) {
			continue
		}
		if i > 0 {
			n := len(r.Hops)
			r.Hops = append(r.Hops, r.Hops[:i]...)
			copy(r.Hops, r.Hops[i:])
			r.Hops = r.Hops[:n]
		}
		return
	}
}
