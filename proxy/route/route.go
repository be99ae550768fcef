package route

import (
	"bytes"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/recent"
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// Decision is where a request is sent: a URI to resolve, or one of the configured next hops.
// It also has what our own Route entries said.
type Decision struct {
	URI    []byte // aliases the message or the configuration
	Server bool   // it is the presence server
	Core   bool   // it is REWATCH_CORE, all of them in turn
	// Toward is the side that it is sent to.
	Toward dialogs.Side
	// Exit is the name of the socket that the last own Route entry sends it by, nil if none.
	Exit *Name
	// IdentityDiffers: the watcher of the dialog is not who its From claimed.
	IdentityDiffers bool
	// SIPS: every hop has to be secure (RFC 3261 26.2.2).
	SIPS bool
}

// Config is what the Routers of a Server share.
type Config struct {
	Names Names
	// Server is the URI of the presence server, Core those of REWATCH_CORE.
	Server []byte
	Core   [][]byte
	// Hosts are those that the server has named, Reach is where requests toward the core
	// may go.
	Hosts Hosts
	Reach Reach
	// Lookup gives the hops of a name; false: they are not known yet.
	Lookup func(resolve.Target) ([]resolve.Hop, bool)
	// Bad has the hops that failed lately.
	Bad *recent.Addresses
	// Speaks tells whether a socket of a side can send to an address.
	Speaks func(dialogs.Side, wire.Transport, netip.Addr) bool
}

// Router decides where requests go. It belongs to one goroutine.
type Router struct {
	*Config

	Hops []resolve.Hop // what Candidates found last

	d     *draft.Draft // the message at hand
	side  dialogs.Side // where it came from
	cache cache
	// targets are URIs with names in them, parsed.
	targets map[string]resolve.Target
}

// popped is what our own Route entries at the top of a request say.
type popped struct {
	// last is the name of ours in the last of them, nil if there was none.
	last *Name
	// marked: one of them came from a Record-Route of ours, so the request
	// follows the route set of a dialog that passed here.
	marked bool
	// identityDiffers: one of them says that the watcher of the dialog is not who its From
	// claimed.
	identityDiffers bool
	// next is the first Route URI that remains, line the field that it is in, from where its
	// value begins, end where the value after it begins (-1: it is the last one of its field).
	next            []byte
	line, from, end int
	// strict: next is a strict router.
	strict bool
	// moved is the Request-URI that a strict router put at the end of Route (nil: none did),
	// movedLine the field that it is in, movedFrom where the part to delete begins (-1: the
	// whole field).
	moved                []byte
	movedLine, movedFrom int
}

// Decide edits the Route entries and the Request-URI (RFC 3261 16.4, 16.6 step 6)
// and says where the request goes.
func (r *Router) Decide(m *draft.Draft, side dialogs.Side) Decision {
	r.d, r.side = m, side
	m.Reset()
	uri := r.d.Msg.URI
	p := popped{movedLine: -1}
	if r.strictPredecessor(&p) {
		uri = p.moved
	}
	r.popRoutes(&p)
	d := r.choose(uri, &p)
	d.Toward = across(side)
	d.IdentityDiffers, d.SIPS = p.identityDiffers, isSIPS(uri) || isSIPS(p.next)
	if p.last != nil && p.last.Side != side {
		d.Exit = p.last
	}
	if p.next != nil && p.strict && bytes.Equal(d.URI, p.next) {
		r.strictSuccessor(uri, &p)
		return d
	}
	if p.moved != nil {
		r.restoreURI(&p)
	}
	return d
}

// across is the other side.
func across(side dialogs.Side) dialogs.Side {
	if side == dialogs.Core {
		return dialogs.Server
	}
	return dialogs.Core
}

// isSIPS tells whether a URI demands that every hop is secure (RFC 3261 19.1).
func isSIPS(uri []byte) bool { return len(uri) > 5 && wire.EqualFold(uri[:5], "sips:") }

// strictPredecessor detects a strict router before us (RFC 3261 16.4): it has put our
// Record-Route URI into the Request-URI, and the Request-URI at the end of Route.
func (r *Router) strictPredecessor(p *popped) bool {
	m := &r.d.Msg
	last := m.First(wire.Route)
	if last < 0 || !maybeLoose(m.URI) {
		return false
	}
	u, ok := wire.ParseURI(m.URI)
	if !ok {
		return false
	}
	own := r.Names.URI(&u)
	if own == nil {
		return false
	}
	if _, lr := wire.Param(u.Params, "lr"); !lr {
		return false
	}
	for i := last; i >= 0; i = m.Next(i) {
		last = i
	}
	v, at, before := m.At(last), 0, -1
	for {
		first, next := wire.Split(v[at:])
		if next < 0 {
			break
		}
		before, at = at+len(first), at+next
	}
	uri, _, _ := wire.Address(v[at:])
	if _, ok := wire.ParseURI(uri); !ok {
		return false // it does not fit into a start line, which a fold would end
	}
	p.moved, p.movedLine, p.movedFrom = uri, last, -1
	if before >= 0 {
		p.movedFrom = m.Lines[last].Value + before
	}
	p.note(&u, own)
	return true
}

// maybeLoose tells whether a URI may have an lr parameter. It costs less than parsing.
func maybeLoose(uri []byte) bool {
	for {
		i := bytes.IndexByte(uri, ';')
		if i < 0 || len(uri) < i+3 {
			return false
		}
		if uri = uri[i+1:]; wire.EqualFold(uri[:2], "lr") {
			return true
		}
	}
}

// restoreURI puts the moved Request-URI back into the start line.
func (r *Router) restoreURI(p *popped) {
	m := &r.d.Msg
	line := m.Lines[p.movedLine]
	if p.movedFrom < 0 {
		r.d.Edits.Delete(line.Start, line.End)
	} else {
		r.d.Edits.Delete(p.movedFrom, line.ValueEnd)
	}
	r.d.Edits.Replace(m.URIAt, m.URIAt+len(m.URI), p.moved)
}

// note notes what an own entry says.
func (p *popped) note(u *wire.URI, own *Name) {
	p.last = own
	if mark, ok := wire.Param(u.Params, "rw"); ok {
		p.marked, p.identityDiffers = true, p.identityDiffers || string(mark) == IdentityMark
	}
}

// popRoutes removes our own entries from the top of Route.
func (r *Router) popRoutes(p *popped) {
	m := &r.d.Msg
	for i := m.First(wire.Route); i >= 0; i = m.Next(i) {
		if !r.popLine(i, p) {
			return
		}
		r.d.Edits.Delete(m.Lines[i].Start, m.Lines[i].End)
	}
}

// popLine removes our own entries from the beginning of one Route field; true: the
// field holds nothing else.
func (r *Router) popLine(i int, p *popped) bool {
	line, v := r.d.Msg.Lines[i], r.d.Msg.At(i)
	for at := 0; ; {
		value, next := wire.Split(v[at:])
		last := next < 0 || at+next >= len(v)
		if last && i == p.movedLine {
			return true // restoreURI puts it back into the start line
		}
		if uri, _, _ := wire.Address(value); len(value) > 0 && !r.ownRoute(uri, p) {
			if at > 0 {
				r.d.Edits.Delete(line.Value, line.Value+at)
			}
			p.next, p.line, p.from, p.end = uri, i, line.Value+at, line.Value+at+next
			if last {
				p.end = -1
			}
			return false
		}
		if last {
			return true
		}
		at += next
	}
}

// ownRoute tells whether a Route URI is ours, and notes what it says.
func (r *Router) ownRoute(uri []byte, p *popped) bool {
	here := r.entry(uri)
	if here.own == nil {
		p.strict = here.strict
		return false
	}
	p.last = here.own
	p.marked, p.identityDiffers = p.marked || here.marked, p.identityDiffers || here.identityDiffers
	return true
}

// choose decides where the request is sent (dialogs/DESIGN.md, "Where a request goes"). From the core: to the server,
// unless it is in a dialog and its Route or Request-URI says otherwise. From the
// server: by Route, else by Request-URI, else into the core.
func (r *Router) choose(uri []byte, p *popped) Decision {
	if r.side == dialogs.Server {
		return r.towardCore(uri, p)
	}
	m := &r.d.Msg
	server := Decision{URI: r.Server, Server: true}
	to, _ := m.Value(wire.To)
	if len(wire.Tag(to)) == 0 {
		return server
	}
	// The ACK of a failed INVITE has the tag of the failure, but the Route and the
	// Request-URI of the INVITE, and has to go where that went. In a dialog it
	// would have the route set that we put our mark into.
	if string(m.Method) == "ACK" && !p.marked {
		return server
	}
	if p.next != nil {
		return Decision{URI: p.next}
	}
	if r.unroutable(uri) {
		return server
	}
	return Decision{URI: uri}
}

// towardCore chooses for a request of the server.
func (r *Router) towardCore(uri []byte, p *popped) Decision {
	if p.next != nil {
		return Decision{URI: p.next}
	}
	if r.unroutable(uri) && len(r.Core) > 0 {
		return Decision{Core: true}
	}
	return Decision{URI: uri}
}

// unroutable tells whether a Request-URI gives no next hop by itself: it is not a SIP URI, it
// is ours, or its host is a domain and not an address. A domain may belong to anybody (an AOR,
// a GRUU), so the configured next hop is the better choice.
func (r *Router) unroutable(uri []byte) bool {
	u, ok := wire.ParseURI(uri)
	if !ok || len(u.Host) == 0 {
		return true
	}
	if r.Names.URI(&u) != nil {
		return true
	}
	_, address := wire.ParseIP(u.Host)
	return !address
}

// strictSuccessor prepares a request for a strict router (RFC 3261 16.6 step 6):
// its URI becomes the Request-URI, and the Request-URI becomes the last Route, unless a strict
// router before us has put it there already.
func (r *Router) strictSuccessor(uri []byte, p *popped) {
	m := &r.d.Msg
	r.d.Edits.Replace(m.URIAt, m.URIAt+len(m.URI), p.next)
	if p.end < 0 {
		r.d.Edits.Delete(m.Lines[p.line].Start, m.Lines[p.line].End)
	} else {
		r.d.Edits.Delete(p.from, p.end)
	}
	if p.moved != nil {
		return
	}
	last := p.line
	for i := m.Next(last); i >= 0; i = m.Next(i) {
		last = i
	}
	r.d.Edits.Insert(m.Lines[last].End, r.d.Scratch("Route: <", string(uri), ">\r\n"))
}

// IdentityMark is the value of our mark in the Record-Route of a SUBSCRIBE whose asserted
// identity is not that of its From. It comes back in the Route of the NOTIFYs of the dialog,
// which have only the From: so even after a restart the user in From is not taken for the
// watcher.
const IdentityMark = "pai"
