package proxy

import (
	"errors"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
	"rewatch/proxy/socket"
	"rewatch/proxy/wire"
)

// onlyServer gives the hop of the presence server, if it has only one.
func (s *Server) onlyServer() (resolve.Hop, bool) {
	if l, ok := route.Literal(s.routing.Server); ok {
		return l, true
	}
	t, err := resolve.ParseURI(s.routing.Server)
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

// pingServer sends an empty line to every address of the server, or connects to it.
func (s *Server) pingServer() error {
	w := s.borrow()
	defer s.giveBack(w)
	w.Msg = wire.Message{} // none is at hand
	pending, err := w.router.Candidates(route.Decision{URI: s.routing.Server, Server: true, Toward: dialogs.Server}, nil, w.now)
	if err != nil {
		return err
	}
	if pending != (resolve.Target{}) {
		s.cfg.Resolver.Await(pending, 0, func([]resolve.Hop, error) {})
		return errResolving
	}
	for _, h := range w.router.Hops {
		l := s.sockets.For(dialogs.Server, h.Transport, h.Addr.Addr(), nil)
		switch {
		case l == nil:
			return route.ErrNoSocket
		case h.Transport.Reliable():
			if s.sockets.Streams[dialogs.Server].To(h.Addr, h.Transport == wire.TLS, h.ServerName) == nil {
				return socket.ErrStreams
			}
		default:
			w.out.Copy(l, netip.Addr{}, h.Addr, emptyLine)
		}
	}
	return nil
}

var errResolving = errors.New("the name of the server is being resolved")
