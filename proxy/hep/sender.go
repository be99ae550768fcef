package hep

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

const (
	// defaultBuffers holds a burst; each has the size of a message.
	defaultBuffers = 1024
	// maxKept is the largest buffer that is used again, so that a few large
	// messages do not hold memory for ever.
	maxKept = 16 << 10
	// maxWaiting bounds the messages that wait, in bytes.
	maxWaiting = 16 << 20
	// renewal is after how long the socket is opened again: the name of the collector may
	// have another address.
	renewal = time.Minute
	// recovery is the pause before the collector is tried again.
	recovery = time.Second
	// dialTime bounds the lookup of the collector's name.
	dialTime = 5 * time.Second
)

// Budget is the memory that a Sender takes at most, in bytes: the messages that wait, and the
// free buffers.
const Budget = maxWaiting + defaultBuffers*maxKept + 1<<20

// Config is what a Sender needs.
type Config struct {
	// Collector is the host:port that HEP3 packets go to.
	Collector string
	// Capture is the capture ID.
	Capture uint32
	// Dropped counts the messages that were not mirrored; nil: not counted.
	Dropped prometheus.Counter
	Log     zerolog.Logger
	// Buffers is how many messages may wait; zero means 1024.
	Buffers int
	// Dial opens the socket; nil means the system's network.
	Dial func(ctx context.Context, collector string) (net.Conn, error)
}

// Sender mirrors messages. Its methods never wait.
type Sender struct {
	cfg  Config
	free chan []byte
	full chan []byte
	// waiting is the size of the messages in full, in bytes.
	waiting atomic.Int64
	// The rest belongs to the goroutine.
	conn   net.Conn
	dialAt time.Time // not before
	away   bool      // it was logged that the collector cannot be reached

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New makes a Sender. Messages before Start wait in the buffers.
func New(cfg Config) *Sender {
	if cfg.Buffers <= 0 {
		cfg.Buffers = defaultBuffers
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, to string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "udp", to)
		}
	}
	s := &Sender{cfg: cfg, free: make(chan []byte, cfg.Buffers), full: make(chan []byte, cfg.Buffers), cancel: func() {}}
	for range cfg.Buffers {
		s.free <- nil // it grows when it is used
	}
	return s
}

// Mirror sends a copy of a message to the collector; it is a socket.Tap.
func (s *Sender) Mirror(transport string, from, to netip.AddrPort, raw []byte) {
	if len(raw) > MaxRaw {
		s.dropped()
		return
	}
	if s.waiting.Load()+int64(len(raw)) > maxWaiting {
		s.dropped()
		return
	}
	select {
	case b := <-s.free:
		m := Message{Transport: transport, From: from, To: to, At: time.Now(), Capture: s.cfg.Capture, Raw: raw}
		b = m.Append(b[:0])
		s.waiting.Add(int64(cap(b)))
		s.full <- b // there is room for every buffer
	default:
		s.dropped()
	}
}

func (s *Sender) dropped() {
	if s.cfg.Dropped != nil {
		s.cfg.Dropped.Inc()
	}
}

// Start begins to send, until Shutdown or until ctx ends.
func (s *Sender) Start(ctx context.Context) {
	ctx, s.cancel = context.WithCancel(ctx)
	s.wg.Go(func() { s.run(ctx) })
}

// Shutdown sends the messages that wait, and stops. Mirror must not be called after it.
func (s *Sender) Shutdown(ctx context.Context) error {
	s.cancel()
	still := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(still)
	}()
	select {
	case <-still:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop mirroring: %w", ctx.Err())
	}
}

func (s *Sender) run(ctx context.Context) {
	defer s.hangUp()
	for {
		select {
		case b := <-s.full:
			s.carry(ctx, b)
		case <-ctx.Done():
			s.rest()
			return
		}
	}
}

// rest sends the messages that wait at the end, if the socket is open.
func (s *Sender) rest() {
	for {
		select {
		case b := <-s.full:
			s.write(b)
		default:
			return
		}
	}
}

// carry sends a packet and frees its buffer.
func (s *Sender) carry(ctx context.Context, b []byte) {
	if now := time.Now(); !now.Before(s.dialAt) {
		s.dial(ctx, now)
	}
	s.write(b)
	s.waiting.Add(-int64(cap(b)))
	if cap(b) > maxKept {
		b = nil
	}
	s.free <- b
}

// dial opens the socket, or renews it. If that fails the old one is kept.
func (s *Sender) dial(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := s.cfg.Dial(ctx, s.cfg.Collector)
	if err != nil {
		s.dialAt = now.Add(recovery)
		s.missing(err)
		return
	}
	s.hangUp()
	s.conn, s.dialAt = conn, now.Add(renewal)
}

func (s *Sender) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// write sends one packet. An error is mostly that of an earlier packet, which the
// collector's host has refused (ICMP).
func (s *Sender) write(b []byte) {
	if s.conn == nil {
		s.dropped()
		return
	}
	if _, err := s.conn.Write(b); err != nil {
		s.dropped()
		s.missing(err)
		return
	}
	s.away = false
}

// missing logs that the collector cannot be reached, once until it can be reached again.
func (s *Sender) missing(err error) {
	if !s.away {
		s.cfg.Log.Warn().Err(err).Str("collector", s.cfg.Collector).Msg("messages are not mirrored")
	}
	s.away = true
}
