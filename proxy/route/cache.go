package route

import (
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// place is what the URI of a Route says, as far as routing asks.
type place struct {
	uri []byte // a copy
	own *Name  // the socket of ours that it names, nil if none
	// marked: it is from a Record-Route of ours; veiled: from one that says that From is
	// not the watcher.
	marked, veiled bool
	strict         bool // it names a strict router
	// hop is where it leads if literal: its host is an address.
	hop     resolve.Hop
	literal bool
}

const (
	// knownPlaces is how many a worker remembers, and maxPlace how long they are.
	knownPlaces = 8
	maxPlace    = 128
)

// cache has those that were asked for last. Nearly every message of a dialog has
// the same few Routes: our own two and the next hop. To compare their bytes costs
// less than to read them.
type cache struct {
	list [knownPlaces]place
	at   int
	// long is for one that is too long to be remembered.
	long place
}

// find gives the place of a URI that is remembered, else nil.
func (ps *cache) find(uri []byte) *place {
	for i := range ps.list {
		if p := &ps.list[i]; string(p.uri) == string(uri) {
			return p // of no URI at all, one that is nothing
		}
	}
	return nil
}

// place reads a URI. What it gives is valid until the next call.
func (r *Router) place(uri []byte) *place {
	ps := &r.cache
	if p := ps.find(uri); p != nil {
		return p
	}
	p := &ps.long
	if len(uri) <= maxPlace {
		p = &ps.list[ps.at]
		ps.at = (ps.at + 1) % knownPlaces
	}
	*p = place{uri: append(p.uri[:0], uri...)}
	p.read(r.Names)
	return p
}

// read fills in what the URI says.
func (p *place) read(ns Names) {
	u, ok := wire.ParseURI(p.uri)
	if !ok {
		return
	}
	p.own = ns.URI(&u)
	mark, marked := wire.Param(u.Params, "rw")
	p.marked, p.veiled = marked, string(mark) == IdentityMark
	_, loose := wire.Param(u.Params, "lr")
	p.strict = !loose
	p.hop, p.literal = Literal(p.uri)
}
