package proxy

import (
	"errors"
	"slices"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
	"rewatch/proxy/wire"
)

// route decides where the request at hand goes.
func (w *worker) route(from flow) route.Decision {
	w.way, w.exit = w.router.Decide(&w.Draft, from.side()), nil
	if w.way.Exit != nil {
		w.exit = w.s.locals[w.way.Exit.Socket]
	}
	return w.way
}

// finder finds the hops of a decision.
type finder struct {
	s      *Server
	router route.Router
	hops   []resolve.Hop // what was found last
	// targets are URIs with names in them, parsed.
	targets map[string]resolve.Target
}

// candidates resolves a decision into the hops to try in turn, which are in hops until
// the next call. What belongs to one call goes to the same of several equal hops.
// pending is set if they are not known yet.
func (f *finder) candidates(d route.Decision, callID []byte, now time.Time) (pending resolve.Target, err error) {
	f.hops = f.hops[:0]
	switch {
	case d.Core:
		pending, err = f.coreHops(callID)
	case d.Server:
		pending, err = f.lookup(d.URI, callID)
	default:
		pending, err = f.inDialog(d, callID, now)
	}
	for len(f.hops) > 1 && f.s.local(d.Toward, f.hops[0].Transport, f.hops[0].Addr.Addr(), nil) == nil {
		f.hops = slices.Delete(f.hops, 0, 1) // of another family, or by a transport that no socket of ours has
	}
	if len(f.hops) > 0 {
		f.healthiest(now)
		return resolve.Target{}, nil
	}
	if err == nil && pending == (resolve.Target{}) {
		err = errNoHop
	}
	return pending, err
}

// lookup appends the hops of one URI.
func (f *finder) lookup(uri, callID []byte) (pending resolve.Target, err error) {
	if h, ok := f.router.Literal(uri); ok {
		f.hops = append(f.hops, h)
		return pending, nil
	}
	t, err := f.target(uri)
	if err != nil {
		return pending, err
	}
	hops, ok := f.s.cfg.Resolver.Lookup(t)
	if !ok {
		return t, nil
	}
	first := len(f.hops)
	f.hops = append(f.hops, hops...)
	if len(hops) > 1 {
		resolve.Spread(f.hops[first:], resolve.Flow(callID))
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
func (f *finder) target(uri []byte) (resolve.Target, error) {
	if t, ok := f.targets[string(uri)]; ok {
		return t, nil
	}
	t, err := resolve.ParseURI(uri)
	if err != nil || len(uri) > maxTarget {
		return t, err
	}
	if f.targets == nil || len(f.targets) >= maxTargets {
		f.targets = make(map[string]resolve.Target)
	}
	f.targets[string(uri)] = t
	return t, nil
}

// coreHops are those of REWATCH_CORE, in the order in which they were named. One
// that is not resolved yet does not hold up the others.
func (f *finder) coreHops(callID []byte) (pending resolve.Target, err error) {
	for _, uri := range f.s.coreURIs {
		wait, e := f.lookup(uri, callID)
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
func (f *finder) healthiest(now time.Time) {
	if len(f.hops) < 2 {
		return
	}
	for i, h := range f.hops {
		if f.s.badHops.Has(h.Addr, now) {
			continue
		}
		if i > 0 {
			n := len(f.hops)
			f.hops = append(f.hops, f.hops[:i]...)
			copy(f.hops, f.hops[i:])
			f.hops = f.hops[:n]
		}
		return
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
		if h.Transport != wire.UDP || w.s.local(from.across(), wire.TCP, h.Addr.Addr(), w.exit) == nil {
			continue
		}
		if w.s.noTCP.Has(h.Addr, w.now) {
			refused = refused || i == 0
			continue
		}
		h.Transport, h.Upgraded = wire.TCP, true
	}
	if refused && w.s.cfg.Retry && !w.s.cfg.DryRun.On() && from.notifies(w.Msg.Method) {
		h := w.hops[0]
		h.Transport = wire.TCP
		w.hops = append(w.hops, h)
	}
}

// onlyServer gives the hop of the presence server, if it has just one.
func (s *Server) onlyServer() (resolve.Hop, bool) {
	if l, ok := route.Literal(s.serverURI); ok {
		return l, true
	}
	t, err := resolve.ParseURI(s.serverURI)
	if err != nil {
		return resolve.Hop{}, false
	}
	hops, ok := s.cfg.Resolver.Lookup(t)
	if !ok || len(hops) != 1 {
		return resolve.Hop{}, false
	}
	return hops[0], true
}

var emptyLine = []byte("\r\n\r\n")

// pingServer touches every address of the server.
func (s *Server) pingServer() error {
	w := s.borrow()
	defer s.giveBack(w)
	w.Msg = wire.Message{} // none is at hand
	pending, err := w.candidates(route.Decision{URI: s.serverURI, Server: true, Toward: dialogs.Server}, nil, w.now)
	if err != nil {
		return err
	}
	if pending != (resolve.Target{}) {
		s.cfg.Resolver.Await(pending, 0, func([]resolve.Hop, error) {})
		return errResolving
	}
	for _, h := range w.hops {
		l := s.local(dialogs.Server, h.Transport, h.Addr.Addr(), nil)
		switch {
		case l == nil:
			return errNoSocket
		case h.Transport.Reliable():
			if s.streams[dialogs.Server].To(h.Addr, h.Transport == wire.TLS, h.ServerName) == nil {
				return errStreams
			}
		default:
			w.out[l.index].Add(emptyLine, h.Addr)
		}
	}
	return nil
}

var errResolving = errors.New("the name of the server is being resolved")
