package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/metrics"
	"rewatch/proxy/resolve"
	"rewatch/proxy/socket"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// read reads one UDP socket.
func (s *Server) read(ctx context.Context, l *socket.Socket) {
	w := s.newWorker()
	in := datagram.NewInbox()
	batch := func() (more bool) {
		w.clock()
		w.batch(l, in)
		return true
	}
	s.keep(ctx, l.SentBy, func() error { return l.Packet.Serve(in, batch) })
}

// keep reads on after errors, until the socket is closed.
func (s *Server) keep(ctx context.Context, what string, serve func() error) {
	for {
		err := serve()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		s.log.Warn().Err(err).Str("listener", what).Msg("reading from the socket")
		if !s.pause(ctx) {
			return
		}
	}
}

// pause waits, so that an error that stays does not fill the log; false: the Server is shut
// down.
func (s *Server) pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}

// poller is the goroutine that reads all UDP sockets. While it keeps a processor it runs the
// timers as well: it runs many times in a tick, so no other goroutine has to be woken.
type poller struct {
	*datagram.Poller

	sockets []*socket.Socket
	turns   atomic.Bool   // it runs the timers
	rests   chan struct{} // is signalled when it no longer does
}

// openPoller makes the poller, where the system has such a thing.
func (s *Server) openPoller() error {
	l := &poller{rests: make(chan struct{}, 1)}
	var packets []*datagram.Packet
	for _, me := range s.sockets.All {
		if me.Packet != nil {
			l.sockets = append(l.sockets, me)
			packets = append(packets, me.Packet)
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

// readAll reads all UDP sockets.
func (s *Server) readAll(ctx context.Context) {
	w := s.newWorker()
	in := datagram.NewInbox()
	var turned int64
	handle := func(socket int) {
		w.clock()
		w.batch(s.poller.sockets[socket], in)
		if now := w.at.Ticks(); now != turned && s.poller.turns.Load() {
			if turned = now; s.paused.Over(w.at, s.sockets.Unread) {
				w.expire()
			}
		}
	}
	s.keep(ctx, "udp", func() error { return s.poller.Serve(in, handle) })
}

func (s *Server) streamConfig(side dialogs.Side) transport.StreamConfig {
	cfg := transport.StreamConfig{
		Frame: wire.FrameFrom, ClientTLS: s.cfg.ClientTLS,
		MaxStreams: s.cfg.MaxStreams, MaxPerPeer: s.cfg.MaxPerPeer,
		Unsent:  streamHandler{s, side}.unsent,
		Refused: func(why transport.Refusal) { s.refusedStream(side, why) },
	}
	if s.cfg.Dial != nil {
		cfg.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) { return s.cfg.Dial(ctx, side, addr) }
	}
	cfg.LocalIPs, cfg.LocalTLS = s.sockets.BoundIPs(side, wire.TCP, wire.TLS), s.sockets.BoundIPs(side, wire.TLS, wire.TCP)
	if side == dialogs.Core {
		cfg.Admit = func(peer netip.AddrPort) bool { return s.admits(peer.Addr()) }
		cfg.Deny = s.deny
	}
	return cfg
}

// refusedStream counts a connection that was closed because of a bound, and logs it, but not
// each time.
func (s *Server) refusedStream(side dialogs.Side, why transport.Refusal) {
	s.metrics.Refused(metrics.Refusal(why))
	if why != transport.RefusedUntrusted {
		s.sampled.Warn().Str("side", metrics.Sides[side]).Str("reason", string(why)).Msg("connection closed: a bound is reached")
	}
}

// streamHandler handles what comes by the connections of one side.
type streamHandler struct {
	s    *Server
	side dialogs.Side
}

// Message handles one message.
func (h streamHandler) Message(st *transport.Stream, raw []byte) {
	if !bytes.HasPrefix(raw, startResponse) && !bytes.HasPrefix(raw, startACK) {
		st.Owe()
	}
	w := h.s.borrow()
	defer h.s.giveBack(w)
	w.message(h.flow(st), raw)
}

var startResponse, startACK = []byte("SIP/"), []byte("ACK ")

// unsent sends the responses that were queued for a connection when it ended over another one,
// to where the Via says (RFC 3261 18.2.2).
func (h streamHandler) unsent(st *transport.Stream, raw []byte) {
	w := h.s.borrow()
	defer h.s.giveBack(w)
	l := h.s.sockets.Of(h.side, st)
	for len(raw) > 0 {
		skip, n, err := wire.FrameFrom(raw, 0)
		if err != nil || n == 0 || skip+n > len(raw) {
			return
		}
		b := raw[skip : skip+n]
		raw = raw[skip+n:]
		if !bytes.HasPrefix(b, startResponse) {
			continue
		}
		if !w.Load(b) {
			continue
		}
		if ip, ok := draft.ResponseHost(&w.Via); !ok || st.Last.Load() || !w.out.Back(l, ip, &w.Via, b) {
			h.s.metrics.Dropped(metrics.DropStream, 1)
		}
	}
}

// Unreadable answers a message whose end cannot be found, if it can be answered.
func (h streamHandler) Unreadable(st *transport.Stream, raw []byte, err error) {
	w := h.s.borrow()
	defer h.s.giveBack(w)
	if scanned := wire.Scan(raw, &w.Msg); scanned != nil && !errors.Is(err, transport.ErrTooLarge) {
		err = scanned
	}
	w.malformed(h.flow(st), err)
}

func (h streamHandler) flow(st *transport.Stream) flow {
	return flow{socket: h.s.sockets.Of(h.side, st), stream: h.s.sockets.NameOf(st), addr: st.Peer}
}

// Closed handles the end of a connection: requests that wait for a response on it are sent
// to their next hop, or have failed.
func (h streamHandler) Closed(st *transport.Stream, err error) {
	stood := st.Local.IsValid()
	if stood {
		err = fmt.Errorf("%w: %w", errStaleStream, err)
	}
	h.s.log.Debug().Err(err).Stringer("peer", st.Peer).Bool("dialled", st.Dialled).Msg("stream closed")
	if !stood {
		h.s.hopFailed(resolve.Hop{Addr: st.Peer, Transport: socket.TransportOf(st), ServerName: st.Name()}, err)
	}
	h.s.Own.StreamEnded(st, err)
	if !st.Used.Load() {
		return // no record knows of it, so the table need not be searched
	}
	w := h.s.borrow()
	defer h.s.giveBack(w)
	for _, key := range h.s.table.OnStream(st.ID) {
		w.failed(key, transaction.Failure{Stream: st.ID}, err)
	}
}
