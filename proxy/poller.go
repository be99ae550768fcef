package proxy

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"rewatch/proxy/transport/datagram"
)

// poller is the goroutine that reads all UDP sockets. While it is held it turns the
// wheels as well: it runs many times in a tick, and nobody has to be woken for them.
type poller struct {
	*datagram.Poller

	sockets []*local
	turns   atomic.Bool   // the wheels are its own
	rests   chan struct{} // is signalled when they are so no more
}

// openPoller makes the poller, where the system has such a thing.
func (s *Server) openPoller() error {
	l := &poller{rests: make(chan struct{}, 1)}
	var packets []*datagram.Packet
	for _, me := range s.locals {
		if me.packet != nil {
			l.sockets = append(l.sockets, me)
			packets = append(packets, me.packet)
		}
	}
	if len(packets) == 0 {
		return nil
	}
	var err error
	switch l.Poller, err = datagram.NewPoller(packets); {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("reading the UDP sockets: %w", err)
	}
	l.Held = func(held bool) {
		s.cfg.Poller(held)
		l.turns.Store(held)
		if held {
			return
		}
		select {
		case l.rests <- struct{}{}:
		default:
		}
	}
	s.poller = l
	return nil
}

// readAll is the loop of the poller.
func (s *Server) readAll(ctx context.Context) {
	w := s.newWorker()
	in := datagram.NewInbox()
	var turned int64
	handle := func(socket int) {
		w.clock()
		w.batch(s.poller.sockets[socket], in)
		if now := w.at.Ticks(); now != turned && s.poller.turns.Load() {
			if turned = now; s.paused.Over(w.at, s.unread) {
				w.expire()
			}
		}
	}
	s.keep(ctx, "udp", func() error { return s.poller.Serve(in, handle) })
}
