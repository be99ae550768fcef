package route

import (
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// entry is a Route entry's URI, parsed as far as routing needs it.
type entry struct {
	uri []byte // a copy
	own *Name  // the name of ours that it has, nil if none
	// marked: it is from a Record-Route of ours; identityDiffers: from one that says that
	// the watcher is not who From claims.
	marked, identityDiffers bool
	strict                  bool // it names a strict router
	// hop is its next hop if literal: its host is an address.
	hop     resolve.Hop
	literal bool
}

const (
	// cacheSize is how many entries a Router remembers, maxCached how long each may be.
	cacheSize = 8
	maxCached = 128
)

// cache has the latest entries. Nearly every message of a dialog has the same few Routes: our
// own two and the next hop. Comparing their bytes costs less than parsing them.
type cache struct {
	list [cacheSize]entry
	at   int
	// long is for an entry that is too long to be remembered.
	long entry
}

// find gives the entry of a URI that is remembered, else nil.
func (ps *cache) find(uri []byte) *entry {
	for i := range ps.list {
		if p := &ps.list[i]; string(p.uri) == string(uri) {
			return p // of an empty URI, an empty entry
		}
	}
	return nil
}

// entry parses a URI, or finds it in the cache. The result is valid until the next call.
func (r *Router) entry(uri []byte) *entry {
	ps := &r.cache
	if p := ps.find(uri); p != nil {
		return p
	}
	p := &ps.long
	if len(uri) <= maxCached {
		p = &ps.list[ps.at]
		ps.at = (ps.at + 1) % cacheSize
	}
	*p = entry{uri: append(p.uri[:0], uri...)}
	p.read(r.Names)
	return p
}

// read parses the URI.
func (p *entry) read(ns Names) {
	u, ok := wire.ParseURI(p.uri)
	if !ok {
		return
	}
	p.own = ns.URI(&u)
	mark, marked := wire.Param(u.Params, "rw")
	p.marked, p.identityDiffers = marked, string(mark) == IdentityMark
	_, loose := wire.Param(u.Params, "lr")
	p.strict = !loose
	p.hop, p.literal = Literal(p.uri)
}
