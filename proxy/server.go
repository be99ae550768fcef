package proxy

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// Server is the SIP path. It runs from Start to Shutdown.
type Server struct {
	cfg       Config
	log       zerolog.Logger
	locals    []*local
	bySide    [2][3]*local // the first socket of a side and network
	streams   [2]*transport.Streams
	names     names
	serverURI []byte
	coreURIs  [][]byte
	ownPrefix []byte
	seed      maphash.Seed
	table     *table
	health    *health
	badHops   *memo // hops that failed lately
	noTCP     *memo // hops that refused TCP lately
	metrics   *metrics
	workers   sync.Pool
	parked    atomic.Int64

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New makes a Server on sockets that are open already.
func New(cfg Config) (*Server, error) {
	cfg.defaults()
	s := &Server{
		cfg: cfg, log: cfg.Log, serverURI: []byte(cfg.Server), ownPrefix: []byte(cfg.OwnBranch), seed: maphash.MakeSeed(),
		table: newTable(cfg.MaxTransactions), badHops: newMemo(30 * time.Second), noTCP: newMemo(30 * time.Second),
	}
	for _, uri := range cfg.Core {
		s.coreURIs = append(s.coreURIs, []byte(uri))
	}
	s.metrics = newMetrics(s)
	s.health = newHealth(s)
	s.workers.New = func() any { return s.newWorker() }
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// open describes the sockets.
func (s *Server) open() error {
	for i, l := range s.cfg.Listeners {
		me, ns, err := newLocal(i, l)
		if err != nil {
			return err
		}
		if l.Packet != nil {
			if me.packet, err = transport.NewPacket(l.Packet); err != nil {
				return fmt.Errorf("socket %s: %w", l.Packet.LocalAddr(), err)
			}
			me.packet.OnUnreachable = s.icmp
		}
		s.locals = append(s.locals, me)
		s.names = append(s.names, ns...)
		if s.bySide[l.Side][me.network] == nil {
			s.bySide[l.Side][me.network] = me
		}
	}
	for _, side := range []dialogs.Side{dialogs.Core, dialogs.Server} {
		s.streams[side] = transport.NewStreams(s.streamConfig(side), streamHandler{s, side})
	}
	return nil
}

func (s *Server) streamConfig(side dialogs.Side) transport.StreamConfig {
	cfg := transport.StreamConfig{
		Frame: wire.Frame, ClientTLS: s.cfg.ClientTLS,
		Refused: func(reason string) { s.metrics.refused(refusal(reason)) },
	}
	if s.cfg.Dial != nil {
		cfg.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) { return s.cfg.Dial(ctx, side, addr) }
	}
	if l := s.bySide[side][tcp]; l != nil {
		if ap, err := netip.ParseAddrPort(s.cfg.Listeners[l.index].Stream.Addr().String()); err == nil && !ap.Addr().IsUnspecified() {
			cfg.LocalIP = ap.Addr().Unmap()
		}
	}
	if side == dialogs.Core {
		cfg.Admit = func(peer netip.AddrPort) bool { return s.admits(peer.Addr()) }
	}
	return cfg
}

// Start begins to read.
func (s *Server) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for i, l := range s.cfg.Listeners {
		me := s.locals[i]
		if me.network == udp {
			s.wg.Go(func() { s.read(me) })
			continue
		}
		s.streams[me.side].Serve(l.Stream, me.network == tlsnet, me)
	}
	s.wg.Go(func() { s.turn(ctx) })
	s.wg.Go(func() { s.health.run(ctx) })
}

// read is the loop of one UDP socket.
func (s *Server) read(l *local) {
	w := s.newWorker()
	in := transport.NewInbox()
	for {
		err := l.packet.Receive(in)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Warn().Err(err).Str("listener", l.sentBy).Msg("reading from the socket")
			continue
		}
		w.now = time.Now()
		for i := range in.Len() {
			raw, from := in.Datagram(i)
			w.message(flow{local: l, addr: from}, raw)
		}
		w.flush()
	}
}

// turn turns the wheels.
func (s *Server) turn(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	w := s.newWorker()
	var due []*record
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		w.now = time.Now()
		for i := range s.table.shards {
			due = w.due(&s.table.shards[i], due)
		}
		w.flush()
	}
}

// Drain waits until the transactions that are open now have ended, at most until
// ctx is done. Forwarding goes on meanwhile.
func (s *Server) Drain(ctx context.Context) (left int) {
	since := time.Now()
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		if left = s.table.opened(since); left == 0 {
			return 0
		}
		select {
		case <-ctx.Done():
			return left
		case <-t.C:
		}
	}
}

// Shutdown closes the sockets and waits for the readers.
func (s *Server) Shutdown() {
	if s.cancel != nil {
		s.cancel()
	}
	for _, l := range s.locals {
		if l.packet != nil {
			_ = l.packet.Close()
		}
	}
	for _, t := range s.streams {
		t.Shutdown()
	}
	s.wg.Wait()
}

// ServerUp tells whether the presence server can be reached, and why not.
func (s *Server) ServerUp() (up bool, detail string) { return s.health.state() }

// Transactions is the number of records.
func (s *Server) Transactions() int { return s.table.len() }

// streamHandler takes what the streams of one side bring.
type streamHandler struct {
	s    *Server
	side dialogs.Side
}

// Message handles one message of a stream.
func (h streamHandler) Message(st *transport.Stream, raw []byte) {
	w := h.s.borrow()
	defer h.s.giveBack(w)
	w.message(h.flow(st), raw)
}

func (h streamHandler) flow(st *transport.Stream) flow {
	l, ok := st.Listener.(*local)
	if !ok {
		n := tcp
		if st.Secure {
			n = tlsnet
		}
		l = h.s.local(h.side, n)
	}
	return flow{local: l, stream: st.ID, addr: st.Peer}
}

// Closed is the end of a stream: what waits for a response on it goes on to the
// next hop, or has failed.
func (h streamHandler) Closed(st *transport.Stream, err error) {
	if st.Local.IsValid() {
		err = fmt.Errorf("%w: %w", errStaleStream, err)
	}
	h.s.log.Debug().Err(err).Stringer("peer", st.Peer).Bool("dialled", st.Dialled).Msg("stream closed")
	keys := h.s.table.onStream(st.ID)
	if len(keys) == 0 && st.Local.IsValid() {
		return
	}
	w := h.s.borrow()
	defer h.s.giveBack(w)
	if !st.Local.IsValid() {
		h.s.lost(hop{side: h.side, addr: st.Peer, network: tcp}, w.now, err)
	}
	for _, key := range keys {
		w.failed(key, st.ID, err)
	}
}

// icmp is told of a datagram that the network refused. Its first bytes hold our
// Via, and so the record that has failed.
func (s *Server) icmp(to netip.AddrPort, payload []byte) {
	w := s.borrow()
	defer s.giveBack(w)
	s.lost(hop{addr: to}, w.now, errRefused)
	if b, method, ok := quoted(payload); ok {
		key := b.key
		if method == "CANCEL" {
			key ^= cancelTwist
		}
		w.failed(key, 0, errRefused)
	}
}

// lost notes that a hop cannot be reached.
func (s *Server) lost(h hop, now time.Time, err error) {
	s.markBad(h.addr, now)
	s.health.lost(h.addr, err)
}
