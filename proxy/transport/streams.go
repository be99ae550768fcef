package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// StreamConfig sets the limits of the streams of one side.
type StreamConfig struct {
	Frame Framer
	// LocalIPs are the addresses to dial from, the first of a peer's family; where
	// there is none it is left to the system.
	LocalIPs []netip.Addr
	// Dial opens a connection; nil means the system's network.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// ClientTLS is used for streams that we open with TLS.
	ClientTLS *tls.Config
	// Admit, if set, decides on a connection before a byte is read from it.
	Admit func(peer netip.AddrPort) bool
	// Deny, if set, makes the answer to the first message of one that was not
	// admitted; then it is closed.
	Deny func(peer netip.AddrPort, raw []byte) []byte
	// Refused, if set, is told of each connection that was closed for what is bounded.
	Refused func(Refusal)
	// MaxStreams bounds the connections that were accepted and, for themselves, those
	// that were dialled: nobody who connects keeps us from connecting. MaxPerPeer
	// bounds those accepted from one address; 0 leaves it at MaxStreams.
	MaxStreams, MaxPerPeer int
	// MaxMessage and MaxBacklog bound one message and what waits to be written on one
	// stream, in bytes.
	MaxMessage, MaxBacklog int
	// MaxQueued bounds what waits to be written on all streams together, MaxPartial
	// the buffers for messages that are not complete, in bytes. 8 and 16 KiB of them
	// every stream may have whatever the others do; that comes on top.
	MaxQueued, MaxPartial int
	// IdleTimeout closes a silent stream (up to a sixteenth later), MessageTimeout one that leaves a
	// message half sent, DialTimeout bounds a dial (with its TLS handshake),
	// WriteTimeout one write.
	IdleTimeout, MessageTimeout, DialTimeout, WriteTimeout time.Duration
}

// What every stream may have of what they share.
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
	addr   netip.AddrPort
	secure bool
}

// Streams keeps the connections of one side.
type Streams struct {
	cfg     StreamConfig
	handler Handler
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	denied  atomic.Int64
	// queued waits to be written, partial is what was read of messages that are not
	// complete; both in bytes.
	queued, partial account
	spares          spares

	mu      sync.Mutex
	byPeer  map[peerKey]*Stream
	byID    map[uint64]*Stream
	door    door
	dialled int
	listen  []net.Listener
	closed  bool
}

// streamIDs are unique in the process, so that an ID in a branch names one
// stream of one side only.
var streamIDs atomic.Uint64

// NewStreams makes an empty set.
func NewStreams(cfg StreamConfig, h Handler) *Streams {
	cfg.defaults()
	ctx, cancel := context.WithCancel(context.Background())
	return &Streams{
		cfg: cfg, handler: h, ctx: ctx, cancel: cancel,
		byPeer: map[peerKey]*Stream{}, byID: map[uint64]*Stream{},
		door:    door{most: cfg.MaxStreams, mostPerPeer: cfg.MaxPerPeer, perPeer: map[netip.Addr]int{}},
		queued:  account{limit: int64(cfg.MaxQueued), floor: queuedFloor},
		partial: account{limit: int64(cfg.MaxPartial), floor: partialFloor},
	}
}

// Serve accepts connections from l until it is closed. Hand it a listener that
// does TLS itself and set secure; tag becomes Stream.Listener.
func (t *Streams) Serve(l net.Listener, secure bool, tag any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		_ = l.Close()
		return
	}
	t.listen = append(t.listen, l)
	t.wg.Go(func() { t.accept(l, secure, tag) })
}

const (
	// acceptBatch connections are accepted in a row; then everybody else has a turn
	// of acceptPause. A storm of connections so waits in the kernel, and costs those
	// who have theirs little.
	acceptBatch = 32
	acceptPause = 5 * time.Millisecond
)

func (t *Streams) accept(l net.Listener, secure bool, tag any) {
	began := time.Now()
	for n := 1; ; n++ {
		if n%acceptBatch == 0 {
			if !t.rest(acceptPause - time.Since(began)) {
				return
			}
			began = time.Now()
		}
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || t.ctx.Err() != nil {
				return
			}
			// Out of descriptors, most likely: others will be closed; try again.
			t.refused(RefusedDescriptors)
			if !t.rest(50 * time.Millisecond) {
				return
			}
			continue
		}
		peer := addrPort(conn.RemoteAddr())
		if t.cfg.Admit != nil && !t.cfg.Admit(peer) {
			t.deny(conn, peer)
			continue
		}
		s, why := t.add(peer, secure, tag)
		if why != "" {
			t.refused(why)
		}
		if s == nil {
			_ = conn.Close()
			continue
		}
		t.run(s, func(context.Context) (net.Conn, error) { return conn, nil })
	}
}

// rest lets some time pass; false: the set was closed.
func (t *Streams) rest(d time.Duration) bool {
	if d <= 0 {
		return t.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.ctx.Done():
		return false
	}
}

// refuse closes a connection at once.
func (t *Streams) refuse(conn net.Conn, why Refusal) {
	_ = conn.Close()
	t.refused(why)
}

func (t *Streams) refused(why Refusal) {
	if t.cfg.Refused != nil {
		t.cfg.Refused(why)
	}
}

// add makes a stream for a connection that was accepted; nil if there is no room.
// why tells of the one that was closed for that: this one, or another.
func (t *Streams) add(peer netip.AddrPort, secure bool, tag any) (s *Stream, why Refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ""
	}
	now := time.Now()
	victim, why := t.door.opens(peer.Addr(), now)
	if why != "" && victim == nil {
		return nil, why
	}
	if victim != nil {
		why = RefusedSilent
		t.door.leaves(victim)
		victim.Close(ErrCrowded)
	}
	s = t.enter(peer, secure)
	s.since, s.Listener = now, tag
	t.door.enters(s)
	return s, why
}

// enter makes a stream and enters it into the tables. The caller holds the lock,
// and calls run.
func (t *Streams) enter(peer netip.AddrPort, secure bool) *Stream {
	ctx, cancel := context.WithCancel(t.ctx)
	s := &Stream{
		ID: streamIDs.Add(1), Secure: secure, Peer: peer, set: t, ctx: ctx, cancel: cancel,
		room: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.carrier = s.write
	t.byID[s.ID] = s
	t.byPeer[peerKey{peer, secure}] = s
	t.wg.Add(1) // here, because Shutdown waits from the moment it has closed the set
	return s
}

// spoke notes the first message of a stream.
func (t *Streams) spoke(s *Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.door.spoke(s)
}

// unqueue takes back a buffer that was written, or never will be.
func (t *Streams) unqueue(b []byte) {
	t.queued.add(-len(b))
	t.spares.give(b)
}

// Get finds an open stream by its ID.
func (t *Streams) Get(id uint64) *Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

// Find gives the open stream to a peer, or nil.
func (t *Streams) Find(addr netip.AddrPort, secure bool) *Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byPeer[peerKey{addr, secure}]
}

// To gives the stream to a peer, and dials one if there is none. A dial that
// fails ends in Handler.Closed. It is nil when there is no room for another.
func (t *Streams) To(addr netip.AddrPort, secure bool, serverName string) *Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byPeer[peerKey{addr, secure}]; s != nil {
		return s
	}
	if t.closed || t.dialled >= t.cfg.MaxStreams {
		return nil
	}
	s := t.enter(addr, secure)
	s.Dialled = true
	t.dialled++
	t.run(s, func(ctx context.Context) (net.Conn, error) { return t.dial(ctx, addr, secure, serverName) })
	return s
}

func (t *Streams) dial(ctx context.Context, addr netip.AddrPort, secure bool, serverName string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.DialTimeout)
	defer cancel()
	dial := t.cfg.Dial
	if dial == nil {
		d := net.Dialer{}
		for _, ip := range t.cfg.LocalIPs {
			if ip.Is4() == addr.Addr().Is4() {
				d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
				break
			}
		}
		dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", a.String())
		}
	}
	conn, err := dial(ctx, addr)
	if err != nil || !secure {
		return conn, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.cfg.ClientTLS != nil {
		cfg = t.cfg.ClientTLS.Clone()
	}
	switch {
	case cfg.ServerName != "":
	case serverName != "":
		cfg.ServerName = serverName
	default:
		cfg.ServerName = addr.Addr().String() // the certificate has to name the address then
	}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// run owns a stream from here to its end.
func (t *Streams) run(s *Stream, dial func(context.Context) (net.Conn, error)) {
	go func() {
		defer t.wg.Done()
		s.Close(t.serve(s, dial))
		s.end()
		t.remove(s)
		t.handler.Closed(s, s.err)
	}()
}

func (t *Streams) serve(s *Stream, dial func(context.Context) (net.Conn, error)) error {
	conn, err := dial(s.ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if !s.attach(conn) {
		return ErrClosed
	}
	err = s.read()
	s.Close(err)
	s.writer.Wait()
	return err
}

func (t *Streams) remove(s *Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, s.ID)
	if key := (peerKey{s.Peer, s.Secure}); t.byPeer[key] == s {
		delete(t.byPeer, key)
	}
	if s.Dialled {
		t.dialled--
	} else {
		t.door.leaves(s)
	}
}

// Load is what the streams of a set amount to.
type Load struct {
	Accepted, Dialled int
	// Queued and Partial are the bytes that MaxQueued and MaxPartial bound.
	Queued, Partial int64
}

// Load tells what the streams amount to now.
func (t *Streams) Load() Load {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Load{
		Accepted: t.door.n, Dialled: t.dialled, Queued: t.queued.used.Load(), Partial: t.partial.used.Load(),
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
