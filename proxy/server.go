package proxy

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/health"
	"rewatch/proxy/metrics"
	"rewatch/proxy/own"
	"rewatch/proxy/recent"
	"rewatch/proxy/route"
	"rewatch/proxy/socket"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// Server is the SIP path. It runs from Start to Shutdown.
type Server struct {
	copies

	Own *own.Requests // rewatch's own

	cfg       Config
	log       zerolog.Logger
	sampled   zerolog.Logger // for what would fill the log: one line in samplePause
	sockets   socket.Set
	strangers allowance // of answers to hosts that are not trusted
	routing   route.Config
	seed      maphash.Seed
	delivers  maphash.Seed // for the transactions of Deliver
	table     *transaction.Table
	health    *health.Health
	noTCP     *recent.Addresses // hops that refused TCP lately
	noUDP     *recent.Addresses // hops that a datagram did not reach lately
	metrics   *metrics.Metrics
	workers   sync.Pool
	parking   parking
	paused    transaction.Pause
	poller    *poller   // nil: each UDP socket is read by itself
	epoch     time.Time // where the Server's clock begins

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// badHopTTL is for how long a hop that failed is tried last.
const badHopTTL = 30 * time.Second

// samplePause is the least time between two log lines about a bound that is reached.
const samplePause = 10 * time.Second

// New makes a Server on sockets that are open already.
func New(cfg Config) (*Server, error) {
	cfg.defaults()
	s := &Server{
		cfg: cfg, log: cfg.Log, seed: maphash.MakeSeed(), delivers: maphash.MakeSeed(),
		table:   transaction.NewTable(cfg.MaxTransactions, transaction.Rules{T1: cfg.T1, T2: cfg.T2, NotifyTimeout: cfg.NotifyTimeout, Retry: cfg.Retry, NoRetry: cfg.DryRun.On}),
		noTCP:   recent.New(badHopTTL, cfg.Forgotten.WithLabelValues("no-tcp")),
		noUDP:   recent.New(badHopTTL, cfg.Forgotten.WithLabelValues("no-udp")),
		parking: parking{sizes: map[uint64]int{}}, epoch: time.Now(),
	}
	s.routing.Server, s.routing.Reach, s.routing.Lookup = []byte(cfg.Server), cfg.Reach, cfg.Resolver.Lookup
	s.routing.Hosts.Changed = cfg.HostNamed
	s.routing.Bad = recent.New(badHopTTL, cfg.Forgotten.WithLabelValues("bad-hop"))
	s.routing.Speaks = func(side dialogs.Side, n wire.Transport, to netip.Addr) bool {
		return s.sockets.For(side, n, to, nil) != nil
	}
	s.sampled = s.log.Sample(&zerolog.BurstSampler{Burst: 1, Period: samplePause})
	for _, uri := range cfg.Core {
		s.routing.Core = append(s.routing.Core, []byte(uri))
	}
	s.copies = copies{s}
	s.sockets.Tap, s.sockets.Seed, s.sockets.SentOver = cfg.Tap, s.seed, s.table.SentOver
	s.sockets.Dropped = func(n int, err error) {
		s.metrics.Dropped(metrics.DropSend, n)
		s.log.Debug().Err(err).Int("datagrams", n).Msg("the socket did not take datagrams")
	}
	s.Own = own.New(cfg.Own, &s.sockets)
	s.metrics = metrics.New(cfg.Reg, cfg.Dropped, &s.sockets, s.table.Len)
	s.health = health.New(health.Config{
		Hops: s.serverHops, Ping: s.pingServer, Stands: s.connected, Probe: cfg.Probe, Silent: s.silent, Changed: cfg.ServerChanged, Gone: s.abandonRegisters,
	})
	s.workers.New = func() any { return s.newWorker() }
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// open takes the sockets of the listeners.
func (s *Server) open() error {
	if len(s.cfg.Listeners) > draft.Letters {
		return fmt.Errorf("%d listeners; %d is the most", len(s.cfg.Listeners), draft.Letters)
	}
	for _, l := range s.cfg.Listeners {
		me, err := s.sockets.Add(l)
		if err != nil {
			return err
		}
		if me.Packet != nil {
			me.Packet.OnRefused, me.Packet.Single = s.undelivered, s.cfg.SingleDatagrams
			s.checkBuffers(me)
		}
	}
	s.routing.Names = s.sockets.Names
	if s.cfg.Poller != nil {
		if err := s.openPoller(); err != nil {
			return err
		}
	}
	for _, side := range []dialogs.Side{dialogs.Core, dialogs.Server} {
		s.sockets.Streams[side] = transport.NewStreams(s.streamConfig(side), streamHandler{s, side})
	}
	return nil
}

// checkBuffers warns the operator of a kernel whose buffers are too small for a burst.
func (s *Server) checkBuffers(l *socket.Socket) {
	receive, send, known := l.Packet.Buffers()
	if known && min(receive, send) < datagram.SocketBuffer {
		s.log.Warn().Str("listener", l.SentBy).Int("asked", datagram.SocketBuffer).Int("receive", receive).Int("send", send).
			Msg("the kernel gives UDP smaller buffers than asked for; raise net.core.rmem_max and wmem_max, or bursts are lost")
	}
}

// Start begins to read.
func (s *Server) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for i, l := range s.cfg.Listeners {
		me := s.sockets.All[i]
		switch {
		case me.Transport != wire.UDP:
			s.sockets.Streams[me.Side].Serve(l.Stream, me.Transport == wire.TLS, me)
		case s.poller == nil:
			s.wg.Go(func() { s.read(ctx, me) })
		}
	}
	if s.poller != nil {
		s.wg.Go(func() { s.readAll(ctx) })
	}
	s.wg.Go(func() { s.runTimers(ctx) })
	s.wg.Go(func() { s.health.Run(ctx) })
}

// Drain waits until the transactions that are open now have ended, at most until
// ctx is done. Forwarding goes on meanwhile. left is how many are still open.
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
	for _, l := range s.sockets.All {
		if l.Packet != nil {
			_ = l.Packet.Close()
		}
	}
	for _, l := range s.cfg.Listeners {
		if l.Stream != nil {
			_ = l.Stream.Close() // also where it never began
		}
	}
	for _, t := range s.sockets.Streams {
		t.Shutdown()
	}
	s.wg.Wait()
}

// ServerUp tells whether the presence server can be reached, and why not.
func (s *Server) ServerUp() (up bool, detail string) { return s.health.State() }

// RestoreHost adds a host that the server named to an earlier process. It is called before
// Start.
func (s *Server) RestoreHost(host string, until, now time.Time) bool {
	return s.routing.Hosts.Restore(host, until, now)
}

// Budget is the memory that a Server takes at most, in bytes: for its transactions, for the
// connections of both sides (maxStreams is how many are accepted on each; secure: those of the
// core by TLS), and for the datagram sockets and everything small.
func Budget(maxTransactions, maxStreams, sockets int, secure bool) (transactions, streams, others int64) {
	const (
		perParked = 512     // beside the request
		perSocket = 4 << 20 // the batches that are read and written
		small     = 16 << 20
	)
	cfg := transport.StreamConfig{MaxStreams: maxStreams}
	return transaction.Budget(maxTransactions), transport.Budget(cfg, secure) + transport.Budget(cfg, false),
		maxParkedBytes + maxParked*perParked + int64(sockets)*perSocket + small
}

// Usage is the memory that transactions and connections take now, in bytes, as far as it
// grows with what others send.
func (s *Server) Usage() int64 {
	used := s.table.Usage()
	for _, streams := range s.sockets.Streams {
		if streams != nil {
			used += streams.Usage()
		}
	}
	return used
}

// Tighten says whether memory is short. While it is, no request gets a record and no
// connection is accepted or opened.
func (s *Server) Tighten(tight bool) {
	s.table.Tight.Store(tight)
	for _, streams := range s.sockets.Streams {
		if streams != nil {
			streams.Tight.Store(tight)
		}
	}
}
