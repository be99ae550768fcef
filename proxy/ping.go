package proxy

import (
	"errors"
	"net/netip"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
	"rewatch/proxy/socket"
	"rewatch/proxy/wire"
)

// serverHops gives the hops of the presence server that a socket of ours reaches; none: its
// name is not resolved.
func (s *Server) serverHops() (hops []resolve.Hop) {
	found := []resolve.Hop{{}}
	var literal bool
	if found[0], literal = route.Literal(s.routing.Server); !literal {
		t, err := resolve.ParseURI(s.routing.Server)
		if err != nil {
			return nil
		}
		found, _ = s.cfg.Resolver.Lookup(t)
	}
	for _, h := range found {
		other, ok := h.Otherwise()
		h.Either = ok && s.routing.Speaks(dialogs.Server, other.Transport, h.Addr.Addr())
		if s.routing.Speaks(dialogs.Server, h.Transport, h.Addr.Addr()) {
			hops = append(hops, h)
		}
	}
	return hops
}

var emptyLine = []byte("\r\n\r\n")

// pingServer sends an empty line to each of some hops of the server, or connects to it. Without
// a hop it has the name of the server resolved.
func (s *Server) pingServer(hops []resolve.Hop) error {
	w := s.borrow()
	defer s.giveBack(w)
	if len(hops) == 0 {
		return s.resolveServer(w)
	}
	for _, h := range hops {
		switch l := s.sockets.For(dialogs.Server, h.Transport, h.Addr.Addr(), nil); {
		case !h.Transport.Reliable():
			w.out.Copy(l, netip.Addr{}, h.Addr, emptyLine)
		case s.sockets.Streams[dialogs.Server].To(h.Addr, h.Transport == wire.TLS, h.ServerName) == nil:
			return socket.ErrStreams
		}
	}
	return nil
}

// resolveServer has the name of the server resolved; the error says why the server has no hop
// yet.
func (s *Server) resolveServer(w *worker) error {
	w.Msg = wire.Message{} // none is at hand
	pending, err := w.router.Candidates(route.Decision{URI: s.routing.Server, Server: true, Toward: dialogs.Server}, nil, w.now)
	switch {
	case err != nil:
		return err
	case pending == (resolve.Target{}):
		return route.ErrNoSocket
	}
	s.cfg.Resolver.Await(pending, 0, func([]resolve.Hop, error) {})
	return errResolving
}

// connected tells whether there is a connection to a hop of the server.
func (s *Server) connected(h resolve.Hop) bool {
	return s.sockets.Streams[dialogs.Server].Stands(h.Addr, h.Transport == wire.TLS, h.ServerName)
}

// silent has a hop of the server avoided: requests go to it by TCP, or are sent to another hop.
func (s *Server) silent(h resolve.Hop, otherwise bool) {
	if otherwise {
		s.noUDP.Add(h.Addr, time.Now())
	} else {
		s.routing.Bad.Add(h.Addr, time.Now())
	}
}

var errResolving = errors.New("the name of the server is being resolved")
