package proxy

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/proxy/draft"
	"rewatch/proxy/health"
	"rewatch/proxy/recent"
	"rewatch/proxy/route"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// Server is the SIP path. It runs from Start to Shutdown.
type Server struct {
	sockets
	copies
	tapped

	cfg       Config
	log       zerolog.Logger
	crowd     zerolog.Logger // for what would fill the log: a line in every crowdPause
	streams   [2]*transport.Streams
	strangers allowance   // of answers to them
	hosts     route.Hosts // that the presence server has named
	serverURI []byte
	coreURIs  [][]byte
	seed      maphash.Seed
	delivers  maphash.Seed // for the transactions of Deliver
	table     *transaction.Table
	health    *health.Health
	badHops   *recent.Addresses // hops that failed lately
	noTCP     *recent.Addresses // hops that refused TCP lately
	metrics   *metrics
	own       ownRequests
	workers   sync.Pool
	parking   parking
	paused    transaction.Pause
	poller    *poller   // nil: each UDP socket is read by itself
	born      time.Time // where the Server's clock begins

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// remembered is for how long a hop that failed is passed over.
const remembered = 30 * time.Second

// crowdPause is how often the log tells of a bound that is reached, at most.
const crowdPause = 10 * time.Second

// New makes a Server on sockets that are open already.
func New(cfg Config) (*Server, error) {
	cfg.defaults()
	s := &Server{
		cfg: cfg, log: cfg.Log, serverURI: []byte(cfg.Server), seed: maphash.MakeSeed(), delivers: maphash.MakeSeed(),
		table:   transaction.NewTable(cfg.MaxTransactions, transaction.Rules{T1: cfg.T1, T2: cfg.T2, NotifyTimeout: cfg.NotifyTimeout, Retry: cfg.Retry, Still: cfg.DryRun.On}),
		badHops: recent.New(remembered, cfg.Forgotten.WithLabelValues("bad-hop")),
		noTCP:   recent.New(remembered, cfg.Forgotten.WithLabelValues("no-tcp")),
		parking: parking{sizes: map[uint64]int{}}, born: time.Now(),
	}
	s.hosts.Changed = cfg.HostNamed
	s.crowd = s.log.Sample(&zerolog.BurstSampler{Burst: 1, Period: crowdPause})
	for _, uri := range cfg.Core {
		s.coreURIs = append(s.coreURIs, []byte(uri))
	}
	s.copies, s.tapped = copies{s}, tapped{cfg.Tap}
	s.own.s, s.own.prefix = s, []byte(cfg.OwnBranch)
	if identity, ok := aor.Append(nil, []byte(cfg.Identity)); ok {
		s.own.identity = identity
	}
	s.metrics = newMetrics(s)
	s.health = health.New(health.Config{Only: s.onlyServer, Ping: s.pingServer, Probe: cfg.Probe, Changed: cfg.ServerChanged, Gone: s.abandonRegisters})
	s.workers.New = func() any { return s.newWorker() }
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// open describes the sockets.
func (s *Server) open() error {
	if len(s.cfg.Listeners) > draft.Letters {
		return fmt.Errorf("%d listeners; %d is the most", len(s.cfg.Listeners), draft.Letters)
	}
	for i, l := range s.cfg.Listeners {
		me, ns, err := newLocal(i, l)
		if err != nil {
			return err
		}
		if l.Packet != nil {
			if me.packet, err = datagram.NewPacket(l.Packet); err != nil {
				return fmt.Errorf("socket %s: %w", l.Packet.LocalAddr(), err)
			}
			me.packet.OnRefused, me.packet.Single, me.packet.Own = s.undelivered, s.cfg.SingleDatagrams, me.own
			s.checkBuffers(me)
		}
		s.locals = append(s.locals, me)
		s.names = append(s.names, ns...)
		s.bySide[l.Side][me.transport] = append(s.bySide[l.Side][me.transport], me)
	}
	if s.cfg.Poller != nil {
		if err := s.openPoller(); err != nil {
			return err
		}
	}
	for _, side := range []dialogs.Side{dialogs.Core, dialogs.Server} {
		s.streams[side] = transport.NewStreams(s.streamConfig(side), streamHandler{s, side})
	}
	return nil
}

func (s *Server) streamConfig(side dialogs.Side) transport.StreamConfig {
	cfg := transport.StreamConfig{
		Frame: wire.FrameFrom, ClientTLS: s.cfg.ClientTLS,
		MaxStreams: s.cfg.MaxStreams, MaxPerPeer: s.cfg.MaxPerPeer,
		Refused: func(why transport.Refusal) { s.refusedStream(side, why) },
	}
	if s.cfg.Dial != nil {
		cfg.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) { return s.cfg.Dial(ctx, side, addr) }
	}
	cfg.LocalIPs, cfg.LocalTLS = s.boundIPs(side, wire.TCP, wire.TLS), s.boundIPs(side, wire.TLS, wire.TCP)
	if side == dialogs.Core {
		cfg.Admit = func(peer netip.AddrPort) bool { return s.admits(peer.Addr()) }
		cfg.Deny = s.deny
	}
	return cfg
}

// checkBuffers tells the administrator of a kernel that gives less room than is
// needed to sit out a burst.
func (s *Server) checkBuffers(l *local) {
	receive, send, known := l.packet.Buffers()
	if known && min(receive, send) < datagram.SocketBuffer {
		s.log.Warn().Str("listener", l.sentBy).Int("asked", datagram.SocketBuffer).Int("receive", receive).Int("send", send).
			Msg("the kernel gives UDP smaller buffers than asked for; raise net.core.rmem_max and wmem_max, or bursts are lost")
	}
}

// refusedStream counts a connection that was closed for what is bounded, and says
// so in the log, once in a while.
func (s *Server) refusedStream(side dialogs.Side, why transport.Refusal) {
	s.metrics.refused(refusal(why))
	if why != transport.RefusedUntrusted {
		s.crowd.Warn().Str("side", sides[side]).Str("reason", string(why)).Msg("connection closed: a bound is reached")
	}
}

// Start begins to read.
func (s *Server) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for i, l := range s.cfg.Listeners {
		me := s.locals[i]
		switch {
		case me.transport != wire.UDP:
			s.streams[me.side].Serve(l.Stream, me.transport == wire.TLS, me)
		case s.poller == nil:
			s.wg.Go(func() { s.read(ctx, me) })
		}
	}
	if s.poller != nil {
		s.wg.Go(func() { s.readAll(ctx) })
	}
	s.wg.Go(func() { s.turn(ctx) })
	s.wg.Go(func() { s.health.Run(ctx) })
}

// read is the loop of one UDP socket.
func (s *Server) read(ctx context.Context, l *local) {
	w := s.newWorker()
	in := datagram.NewInbox()
	batch := func() (more bool) {
		w.clock()
		w.batch(l, in)
		return true
	}
	s.keep(ctx, l.sentBy, func() error { return l.packet.Serve(in, batch) })
}

// keep reads on after an error, until the socket is closed.
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

// pause keeps an error that stays from filling the log; false: it is over.
func (s *Server) pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}

// Drain waits until the transactions that are open now have ended, at most until
// ctx is done. Forwarding goes on meanwhile.
func (s *Server) Drain(ctx context.Context) (left int) {
	since := s.moment(time.Now()) + 1
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		if left = s.table.Opened(since) + s.parking.len(); left == 0 {
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
	for _, l := range s.cfg.Listeners {
		if l.Stream != nil {
			_ = l.Stream.Close() // also where it never began
		}
	}
	for _, t := range s.streams {
		t.Shutdown()
	}
	s.wg.Wait()
}

// ServerUp tells whether the presence server can be reached, and why not.
func (s *Server) ServerUp() (up bool, detail string) { return s.health.State() }

// Transactions is the number of records.
func (s *Server) Transactions() int { return s.table.Len() }
