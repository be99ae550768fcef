package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// StreamConfig sets the limits of the streams of one side.
type StreamConfig struct {
	Frame Framer
	// LocalIPs are the addresses to dial from: the first one of the peer's family. If there is
	// none, the system chooses.
	LocalIPs []netip.Addr
	// LocalTLS are those for TLS.
	LocalTLS []netip.Addr
	// Dial opens a connection; nil means the system's network.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// ClientTLS gives the present TLS configuration for a stream that we open.
	ClientTLS func() *tls.Config
	// Admit, if set, decides on a connection before a byte is read from it.
	Admit func(peer netip.AddrPort) bool
	// Deny, if set, makes the answer to the first message of a connection that was not
	// admitted. Then the connection is closed.
	Deny func(peer netip.AddrPort, raw []byte) []byte
	// Unsent, if set, is given the messages that were queued for a stream when it ended, whole
	// and in order. It must not keep them.
	Unsent func(s *Stream, raw []byte)
	// Refused, if set, is told of each connection that was refused or closed because of a bound.
	Refused func(Refusal)
	// MaxStreams bounds the connections that were accepted and, separately, those that were
	// dialled: so peers that connect do not prevent us from connecting. MaxPerPeer bounds those
	// accepted from one address; 0 means MaxStreams.
	MaxStreams, MaxPerPeer int
	// MaxMessage and MaxBacklog bound one message and the queue of one stream, in bytes.
	MaxMessage, MaxBacklog int
	// MaxQueued bounds the queues of all streams together, MaxPartial the buffers for incomplete
	// messages, in bytes. Every stream may have 8 and 16 KiB of them in any case, on top.
	MaxQueued, MaxPartial int
	// IdleTimeout closes a silent stream (up to a sixteenth later), MessageTimeout one that leaves a
	// message half sent, DialTimeout bounds a dial (with its TLS handshake),
	// WriteTimeout one write. VanishTimeout is after how long a peer whose system
	// acknowledges nothing any more is given up, be there anything to send or not.
	IdleTimeout, MessageTimeout, DialTimeout, WriteTimeout, VanishTimeout time.Duration
}

// The memory that every stream may have in any case.
const (
	queuedFloor  = 8 << 10
	partialFloor = 16 << 10
)

func (c *StreamConfig) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.IdleTimeout, 10*time.Minute)
	set(&c.MessageTimeout, 20*time.Second)
	set(&c.DialTimeout, 4*time.Second)
	set(&c.WriteTimeout, 10*time.Second)
	set(&c.VanishTimeout, 9*time.Second)
	if c.MaxStreams == 0 {
		c.MaxStreams = 10000
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = 256 << 10
	}
	if c.MaxBacklog == 0 {
		c.MaxBacklog = 4 << 20
	}
	if c.MaxQueued == 0 {
		c.MaxQueued = 64 << 20
	}
	if c.MaxPartial == 0 {
		c.MaxPartial = 64 << 20
	}
	if c.MaxPerPeer == 0 || c.MaxPerPeer > c.MaxStreams {
		c.MaxPerPeer = c.MaxStreams
	}
}

// peerKey finds the stream to send a request on.
type peerKey struct {
	own    netip.Addr // the address of ours that it is dialled from, invalid if any
	addr   netip.AddrPort
	secure bool
	// name is that of the peer's certificate, if we have dialled. A stream that was accepted by
	// TLS is found by its address, and its certificate has to be for the name.
	name     string
	accepted bool
}

// Streams keeps the connections of one side.
type Streams struct {
	cfg     StreamConfig
	handler Handler
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	denied  atomic.Int64
	// queued is the memory of the queues, partial that of incomplete messages.
	queued, partial account
	spares          spares
	// Tight is set while memory is short: then a connection is accepted only if one without a
	// message makes room, and each stream has only its floor.
	Tight atomic.Bool

	mu        sync.Mutex
	byPeer    map[peerKey]*Stream
	byID      map[uint64]*Stream
	admission admission
	dialled   int
	secure    int // those by TLS
	listen    []net.Listener
	closed    bool
}

// streamIDs are unique in the process, so that an ID in a branch names one
// stream of one side only.
var streamIDs atomic.Uint64

// NewStreams makes an empty set.
func NewStreams(cfg StreamConfig, h Handler) *Streams {
	cfg.defaults()
	ctx, cancel := context.WithCancel(context.Background())
	t := &Streams{
		cfg: cfg, handler: h, ctx: ctx, cancel: cancel,
		byPeer: map[peerKey]*Stream{}, byID: map[uint64]*Stream{},
	}
	t.admission = admission{most: cfg.MaxStreams, mostPerPeer: cfg.MaxPerPeer, perPeer: map[netip.Addr]int{}, tight: &t.Tight}
	t.queued = account{limit: int64(cfg.MaxQueued), floor: queuedFloor, tight: &t.Tight}
	t.partial = account{limit: int64(cfg.MaxPartial), floor: partialFloor, tight: &t.Tight}
	return t
}

// Usage is the memory that the streams take, in bytes.
func (t *Streams) Usage() int64 {
	t.mu.Lock()
	n, secure := len(t.byID), t.secure
	t.mu.Unlock()
	return int64(n)*perStream + int64(secure)*perSecure + t.queued.used.Load() + t.partial.used.Load()
}

// enter makes a stream and adds it to the tables. The caller holds the lock, and calls run.
func (t *Streams) enter(key peerKey) *Stream {
	s := t.make(key)
	t.byPeer[key] = s
	return s
}

// make makes a stream that is found by its ID alone.
func (t *Streams) make(key peerKey) *Stream {
	ctx, cancel := context.WithCancel(t.ctx)
	s := &Stream{
		ID: streamIDs.Add(1), Secure: key.secure, Peer: key.addr, key: key, set: t, ctx: ctx, cancel: cancel,
		done: make(chan struct{}),
	}
	s.carrier = s.write
	t.byID[s.ID] = s
	if s.Secure {
		t.secure++
	}
	t.wg.Add(1) // here, because Shutdown waits as soon as it has closed the set
	return s
}

// spoke notes the first message of a stream.
func (t *Streams) spoke(s *Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.admission.spoke(s)
	if s.Secure && !s.Dialled {
		s.leaf = verified(s.conn)
	}
}

// Get finds an open stream by its ID.
func (t *Streams) Get(id uint64) *Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

// run owns a stream until its end.
func (t *Streams) run(s *Stream, dial func(context.Context) (net.Conn, error)) {
	go func() {
		defer t.wg.Done()
		lingered := t.serve(s, dial)
		t.remove(s)
		if !lingered {
			t.handler.Closed(s, s.err)
		}
		s.end()
	}()
}

// serve tells whether the stream has lingered, so that the Handler knows that it is closed.
func (t *Streams) serve(s *Stream, dial func(context.Context) (net.Conn, error)) (lingered bool) {
	conn, err := dial(s.ctx)
	if err != nil {
		s.Close(err)
		return false
	}
	defer func() { _ = conn.Close() }()
	giveUpAfter(conn, s.set.cfg.VanishTimeout)
	if s.frugal = frugalOf(conn); s.frugal != nil {
		s.frugal.set = t
		defer s.frugal.said()
	}
	if !s.attach(conn) {
		return false
	}
	err = s.read()
	if errors.Is(err, io.EOF) {
		lingered = s.linger(err)
	}
	s.Close(err)
	s.writer.Wait()
	return lingered
}

func (t *Streams) remove(s *Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, s.ID)
	if s.Secure {
		t.secure--
	}
	if t.byPeer[s.key] == s {
		delete(t.byPeer, s.key)
	}
	if s.Dialled {
		t.dialled--
	} else {
		t.admission.leaves(s)
	}
}

// Load is the number and memory of the streams of a set.
type Load struct {
	Accepted, Dialled int
	// Queued and Partial are the bytes that MaxQueued and MaxPartial bound.
	Queued, Partial int64
}

// Load tells the present number and memory of the streams.
func (t *Streams) Load() Load {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Load{
		Accepted: t.admission.n, Dialled: t.dialled, Queued: t.queued.used.Load(), Partial: t.partial.used.Load(),
	}
}

// Len is the number of open streams.
func (t *Streams) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}

// Shutdown closes the listeners and every stream and waits for them.
func (t *Streams) Shutdown() {
	t.mu.Lock()
	t.closed = true
	listeners := t.listen
	streams := make([]*Stream, 0, len(t.byID))
	for _, s := range t.byID {
		streams = append(streams, s)
	}
	t.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	t.cancel()
	for _, s := range streams {
		s.Close(ErrClosed)
	}
	t.wg.Wait()
}
