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

// RestoreHost takes up a host that the server named to an earlier process, before Start.
func (s *Server) RestoreHost(host string, until, now time.Time) bool {
	return s.hosts.Restore(host, until, now)
}
