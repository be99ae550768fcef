package proxy

import (
	"bytes"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/wire"
)

// destination is where a request is to go: a URI to resolve, or one of the
// configured next hops.
type destination struct {
	side   dialogs.Side
	uri    []byte // aliases the message or the configuration
	server bool   // it is the presence server
	core   bool   // it is REWATCH_CORE, all of them in turn
}

// popped tells what the own Route entries at the top of a request said.
type popped struct {
	any bool
	// marked: one of them came from a Record-Route of ours, so the request
	// follows the route set of a dialog that passed here.
	marked bool
	// next is the first Route URI that remains, and where it stands.
	next                []byte
	line, from, to, end int
}

// route edits the Route entries and the Request-URI (RFC 3261 16.4, 16.6 step 6)
// and says where the request goes.
func (w *worker) route(from flow) destination {
	w.edits.Reset()
	w.text = w.text[:0]
	w.moved = -1
	uri := w.strictPredecessor()
	p := w.popRoutes()
	d := w.choose(from, uri, &p)
	if p.next != nil && bytes.Equal(d.uri, p.next) {
		w.strictSuccessor(uri, &p)
	}
	return d
}

// strictPredecessor undoes what a strict router did (RFC 3261 16.4): it put our
// Record-Route URI into the Request-URI and the real one at the end of Route.
// It gives the Request-URI that counts.
func (w *worker) strictPredecessor() []byte {
	m := &w.msg
	u, ok := wire.ParseURI(m.URI)
	if !ok {
		return m.URI
	}
	if _, own := w.s.names.uri(&u); !own {
		return m.URI
	}
	if _, lr := wire.Param(u.Params, "lr"); !lr || m.Count(wire.Route) == 0 {
		return m.URI
	}
	last := -1
	for i := m.First(wire.Route); i >= 0; i = m.Next(i) {
		last = i
	}
	line := m.Lines[last]
	v, at, prev := m.At(last), 0, -1
	for {
		_, next := wire.Split(v[at:])
		if next < 0 {
			break
		}
		prev, at = at, at+next
	}
	uri, _, _ := wire.Address(v[at:])
	if uri == nil {
		return m.URI
	}
	if prev < 0 {
		w.edits.Delete(line.Start, line.End)
	} else {
		first, _ := wire.Split(v[prev:])
		w.edits.Delete(line.Value+prev+len(first), line.ValueEnd)
	}
	w.edits.Replace(m.URIAt, m.URIAt+len(m.URI), uri)
	w.moved = last
	return uri
}

// popRoutes removes our own entries from the top of Route.
func (w *worker) popRoutes() (p popped) {
	m := &w.msg
	for i := m.First(wire.Route); i >= 0; i = m.Next(i) {
		line, v := m.Lines[i], m.At(i)
		at := 0
		for {
			value, next := wire.Split(v[at:])
			uri, _, _ := wire.Address(value)
			lastValue := next < 0 || at+next >= len(v)
			if i == w.moved && lastValue {
				return p // it stands in the Request-URI already
			}
			u, ok := wire.ParseURI(uri)
			own := false
			if ok {
				_, own = w.s.names.uri(&u)
			}
			if !own {
				if at > 0 {
					w.edits.Delete(line.Value, line.Value+at)
				}
				p.next, p.line = uri, i
				p.from = line.Value + at
				p.to = p.from + len(value)
				p.end = line.Value + at + next
				if lastValue {
					p.end = -1
				}
				return p
			}
			p.any = true
			if _, ok := wire.Param(u.Params, "rw"); ok {
				p.marked = true
			}
			if lastValue {
				w.edits.Delete(line.Start, line.End)
				break
			}
			at += next
		}
	}
	return p
}

// choose says where the request goes (DESIGN 3). From the core: to the server,
// unless it is in a dialog and its Route or Request-URI says otherwise. From the
// server: by Route, else by Request-URI, else into the core.
func (w *worker) choose(from flow, uri []byte, p *popped) destination {
	if from.side() == dialogs.Server {
		return w.towardCore(uri, p)
	}
	m := &w.msg
	server := destination{side: dialogs.Server, uri: w.s.serverURI, server: true}
	to, _ := m.Value(wire.To)
	if len(wire.Tag(to)) == 0 || bytes.Equal(m.Method, mCANCEL) {
		return server
	}
	// The ACK of a failure carries the Route of its INVITE, which is no route
	// set of ours, and has to go where the INVITE went.
	if bytes.Equal(m.Method, mACK) && !p.marked {
		if p.next != nil || w.s.nameless(uri) {
			return server
		}
	}
	if p.next != nil {
		return destination{side: dialogs.Server, uri: p.next}
	}
	if w.s.nameless(uri) {
		return server
	}
	return destination{side: dialogs.Server, uri: uri}
}

// towardCore chooses for a request of the server.
func (w *worker) towardCore(uri []byte, p *popped) destination {
	if p.next != nil {
		return destination{side: dialogs.Core, uri: p.next}
	}
	if w.s.nameless(uri) && len(w.s.cfg.Core) > 0 {
		return destination{side: dialogs.Core, core: true}
	}
	return destination{side: dialogs.Core, uri: uri}
}

// nameless tells whether a Request-URI leads nowhere by itself: it is not a SIP
// URI, it names us, or its host is a domain and not an address. A domain may be
// anybody's (an AOR, a GRUU); the configured hop knows better than a guess.
func (s *Server) nameless(uri []byte) bool {
	u, ok := wire.ParseURI(uri)
	if !ok || len(u.Host) == 0 {
		return true
	}
	if _, own := s.names.uri(&u); own {
		return true
	}
	return !isAddress(u.Host)
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

// strictSuccessor prepares a request for a strict router (RFC 3261 16.6 step 6):
// its URI becomes the Request-URI, and the Request-URI the last Route.
func (w *worker) strictSuccessor(uri []byte, p *popped) {
	u, ok := wire.ParseURI(p.next)
	if !ok || w.moved >= 0 {
		return // between two strict routers the Request-URI is exchanged already
	}
	if _, lr := wire.Param(u.Params, "lr"); lr {
		return
	}
	m := &w.msg
	last := p.line
	for i := m.Next(last); i >= 0; i = m.Next(i) {
		last = i
	}
	w.edits.Replace(m.URIAt, m.URIAt+len(m.URI), p.next)
	line := m.Lines[p.line]
	if p.end < 0 {
		w.edits.Delete(line.Start, line.End)
	} else {
		w.edits.Delete(p.from, p.end)
	}
	w.edits.Insert(m.Lines[last].End, w.scratch("Route: <", string(uri), ">\r\n"))
}

// literal gives the hop of a URI whose host is an address, without the resolver
// and without allocating.
func literal(uri []byte, side dialogs.Side) (hop, bool) {
	u, ok := wire.ParseURI(uri)
	if !ok || !isAddress(u.Host) {
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
		case wire.EqualFold(t, "tcp"):
			h.network = tcp
		case wire.EqualFold(t, "tls"):
			h.network = tlsnet
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
