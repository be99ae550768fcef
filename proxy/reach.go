package proxy

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
	"rewatch/proxy/wire"
)

// errReach ends a request whose Route or Request-URI leads to where it may not go.
var errReach = errors.New("out of reach")

// inDialog finds the hops of a request that its Route or its Request-URI leads. What is
// there was written by a phone, or by the server, which copies it from a phone. Toward the
// server side it leads to the server or to a host that the server has named, toward the
// core side within the reach.
func (f *finder) inDialog(d route.Decision, callID []byte, now time.Time) (pending resolve.Target, err error) {
	if d.Toward == dialogs.Server {
		if pending, err = f.named(d.URI, now); err != nil || pending != (resolve.Target{}) {
			return pending, err
		}
	}
	if pending, err = f.lookup(d.URI, callID); err != nil || len(f.hops) == 0 {
		return pending, err
	}
	if d.Toward == dialogs.Core {
		f.hops = slices.DeleteFunc(f.hops, func(h resolve.Hop) bool { return !f.within(h) })
		err = errReach
	}
	if len(f.hops) > 0 && f.hops[0].Transport != wire.UDP {
		f.hops = slices.DeleteFunc(f.hops, func(h resolve.Hop) bool { return f.s.local(d.Toward, h.Transport, h.Addr.Addr(), nil) == nil })
		err = errNoSocket // which is said of who named the transport, and of no hop
	}
	if len(f.hops) > 0 {
		return pending, nil
	}
	return pending, err
}

// named tells whether a URI leads to the server or to a host that it has named: errReach
// where it does not. The addresses of the server may have to be resolved first.
func (f *finder) named(uri []byte, now time.Time) (pending resolve.Target, err error) {
	var room [320]byte
	host, ok := route.AppendHost(room[:0], uri)
	if !ok {
		return pending, errReach
	}
	if f.s.hosts.Named(host, now) {
		return pending, nil
	}
	var own [320]byte
	if server, ok := route.AppendHost(own[:0], f.s.serverURI); ok && bytes.Equal(host, server) {
		return pending, nil
	}
	h, literal := f.router.Literal(uri)
	if !literal {
		return pending, errReach
	}
	pending, err = f.lookup(f.s.serverURI, nil)
	found := slices.ContainsFunc(f.hops, func(at resolve.Hop) bool { return at.Addr == h.Addr })
	f.hops = f.hops[:0]
	switch {
	case err != nil || pending != (resolve.Target{}):
		return pending, err
	case !found:
		return pending, errReach
	}
	return pending, nil
}

// within tells whether a hop on the core side may be reached: it is within the reach, or
// one of REWATCH_CORE.
func (f *finder) within(h resolve.Hop) bool {
	if f.s.cfg.Reach.Contains(h.Addr.Addr()) {
		return true
	}
	for _, uri := range f.s.coreURIs {
		if at, ok := route.Literal(uri); ok {
			if at.Addr == h.Addr {
				return true
			}
			continue
		}
		t, err := f.target(uri)
		if err != nil {
			continue
		}
		hops, _ := f.s.cfg.Resolver.Lookup(t)
		if slices.ContainsFunc(hops, func(at resolve.Hop) bool { return at.Addr == h.Addr }) {
			return true
		}
	}
	return false
}

// beyond answers a request that may not go where it leads. To the server a NOTIFY is one
// of a subscription that does not exist; nobody is judged by it.
func (w *worker) beyond(from flow, uri []byte) {
	w.s.crowd.Warn().Str("side", sides[from.side()]).Str("uri", draft.Printable(uri)).Msg("requests are refused: they lead out of reach")
	if bytes.Equal(w.Msg.Method, mACK) {
		w.s.metrics.dropped(dropUnreachable, 1)
		return
	}
	w.s.metrics.refused(refusedReach)
	to, _ := w.Msg.Value(wire.To)
	switch {
	case bytes.Equal(w.Msg.Method, mNOTIFY):
		w.refuse(from, 481, "Subscription Does Not Exist")
	case len(wire.Tag(to)) > 0:
		w.refuse(from, 481, "Call/Transaction Does Not Exist")
	default:
		w.refuse(from, 404, "Not Found")
	}
}

// learner learns the hosts that the server names.
type learner struct {
	host []byte
	// last is the value that was read last, at when: nearly every message of a server has
	// the same one. routes are the Record-Routes and the Contacts of the last response that
	// was read, at whenRoutes, of which the same is true.
	last, routes     []byte
	when, whenRoutes time.Time
}

// relearn is how often a value is read that is the same as the one before.
const relearn = time.Second

// maxRelearn bounds what is remembered of one message.
const maxRelearn = 1 << 10

// inRequest learns the host that a request of the server names: the
// uppermost Record-Route, which is of the hop next to rewatch, else its Contact. The request
// has not passed here before: then it would be somebody else's.
func (l *learner) inRequest(s *Server, m *wire.Message, from flow, now time.Time) {
	if from.side() != dialogs.Server {
		return
	}
	switch string(m.Method) {
	case "NOTIFY", "SUBSCRIBE", "INVITE", "REFER", "UPDATE":
	default:
		return
	}
	if m.First(wire.RecordRoute) >= 0 {
		l.name(s, draft.FirstValue(m, wire.RecordRoute), now)
		return
	}
	l.name(s, draft.FirstValue(m, wire.Contact), now)
}

// inResponse learns the host that a response of the server names: the Record-Route
// above our two, else the Contact. Those below ours a phone may have written. In the dialog
// of a call it may have written all of them, so there the Contact alone is believed, and
// only where our two are at the top. If there are more than two, the request has come by
// here twice, and a phone has answered it.
func (l *learner) inResponse(s *Server, m *wire.Message, from flow, b draft.Branch, method []byte, now time.Time) {
	invite := bytes.Equal(method, mINVITE)
	if from.side() != dialogs.Server || m.Status <= 100 || m.Status >= 300 || !invite && !b.Begins() {
		return
	}
	if !invite && l.knows(m, now) {
		return
	}
	var above []byte
	own := 0
	for values := m.Values(wire.RecordRoute); ; {
		v, _, ok := values.Next()
		if !ok {
			break
		}
		uri, _, _ := wire.Address(v)
		u, ok := wire.ParseURI(uri)
		switch {
		case ok && s.names.URI(&u) != nil:
			own++
		case own == 0:
			above = v
		}
	}
	switch {
	case own > 2, invite && (own == 0 || above != nil):
	case own > 0 && above != nil:
		l.name(s, above, now)
	default:
		l.name(s, draft.FirstValue(m, wire.Contact), now)
	}
}

// knows tells whether a response to something else than an INVITE has the same
// Record-Routes and Contacts as the one before.
func (l *learner) knows(m *wire.Message, now time.Time) bool {
	rest, same := l.routes, now.Sub(l.whenRoutes) < relearn
	for _, n := range [...]wire.Name{wire.RecordRoute, wire.Contact} {
		for i := m.First(n); i >= 0 && same; i = m.Next(i) {
			line := m.Raw[m.Lines[i].Start:m.Lines[i].End]
			if same = bytes.HasPrefix(rest, line); same {
				rest = rest[len(line):]
			}
		}
	}
	if same && len(rest) == 0 {
		return true
	}
	l.routes, l.whenRoutes = l.routes[:0], now
	for _, n := range [...]wire.Name{wire.RecordRoute, wire.Contact} {
		for i := m.First(n); i >= 0; i = m.Next(i) {
			l.routes = append(l.routes, m.Raw[m.Lines[i].Start:m.Lines[i].End]...)
		}
	}
	if len(l.routes) > maxRelearn {
		l.routes, l.whenRoutes = l.routes[:0], time.Time{}
	}
	return false
}

// name notes a host that the server has named.
func (l *learner) name(s *Server, value []byte, now time.Time) {
	if len(value) > 0 && bytes.Equal(value, l.last) && now.Sub(l.when) < relearn {
		return
	}
	if l.last = l.last[:0]; len(value) <= maxRelearn {
		l.last, l.when = append(l.last, value...), now
	}
	uri, _, _ := wire.Address(value)
	host, ok := route.AppendHost(l.host[:0], uri)
	l.host = host
	if ok && len(host) > 0 {
		s.hosts.Name(host, now)
	}
}

// RestoreHost takes up a host that the server named to an earlier process, before Start.
func (s *Server) RestoreHost(host string, until, now time.Time) bool {
	return s.hosts.Restore(host, until, now)
}
