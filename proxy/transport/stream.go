package transport

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rewatch/proxy/transport/netaddr"
)

// Errors of a Stream.
var (
	// ErrBacklog: the peer reads too slowly, and the queue for it is full.
	ErrBacklog = errors.New("write backlog full")
	// ErrClosed: the stream is closed.
	ErrClosed = errors.New("stream closed")
	// ErrTooLarge: a message beyond StreamConfig.MaxMessage.
	ErrTooLarge = errors.New("message too large")
	// ErrOurs is in the error of a stream that this side has closed: because of a message, of
	// silence or of a bound. That says nothing about the peer, nor about other messages on it.
	ErrOurs = errors.New("closed by this side")
	// ErrCrowded: the stream was closed because all streams together have reached a bound: of
	// connections that have sent nothing yet, or of incomplete messages.
	ErrCrowded = errors.New("too many streams at work")
)

// ours marks an error as the reason why this side closes a stream.
func ours(err error) error { return fmt.Errorf("%w: %w", ErrOurs, err) }

// Framer finds the first message in b: skip is the number of bytes before it (empty lines), n its
// length, 0 while more bytes are needed. The first seen bytes were searched before, in vain.
type Framer func(b []byte, seen int) (skip, n int, err error)

// Handler handles messages. All methods are called by the goroutine that owns the stream; none may
// keep raw.
type Handler interface {
	Message(s *Stream, raw []byte)
	// Unreadable is called when no message can be found any more, with the last bytes. After it
	// the stream is closed; what the Handler writes is sent before that.
	Unreadable(s *Stream, raw []byte, err error)
	// Closed is called once per stream, after its last Message. The peer may still read
	// (linger).
	Closed(s *Stream, err error)
}

// Stream is one TCP or TLS connection.
type Stream struct {
	// ID is unique in the process and never 0.
	ID uint64
	// Secure tells TLS from TCP.
	Secure bool
	// Peer is the remote address, Local the address that was accepted on or
	// dialled from (the zero value until the connection is established).
	Peer  netip.AddrPort
	Local netip.AddrPort
	// Dialled tells whether we opened it.
	Dialled bool
	// Listener is what Serve was given with the listener; nil if we dialled.
	Listener any
	// Used is for the owner of the set to note that a record names the stream. It has no
	// meaning here.
	Used atomic.Bool
	// Last is for the owner to note that what is queued goes by no other stream.
	Last atomic.Bool

	set    *Streams
	key    peerKey
	alone  bool              // it is for one request (Streams.Alone)
	leaf   *x509.Certificate // of a peer that has dialled us; the lock of the set guards it
	frugal *frugal           // what is below TLS; nil without
	ctx    context.Context   // ends with the stream; bounds its dial
	cancel context.CancelFunc
	// since is when it was accepted. The admission counts it while inside is set, and has it in
	// a list until its first message. The lock of the set guards all of this.
	since          time.Time
	inside, silent bool
	before, after  *Stream

	mu      sync.Mutex
	conn    net.Conn
	pending []byte // the queue to write
	queued  int    // the memory of that and of what is being written, in bytes
	writing bool   // a goroutine writes it to the connection
	carrier func() // that goroutine's function, made once so that starting it allocates nothing
	writer  sync.WaitGroup
	ended   bool // nothing more may be queued
	half    bool // the peer sends no more
	closed  bool
	err     error
	done    chan struct{}
	left    []byte // what was being written when it failed, the last in vain bytes of it
	vain    int
	served  atomic.Uint64
	owed    atomic.Int64
	gone    atomic.Bool // it may no longer be used for requests
}

// From is the address of ours that the stream was dialled for (ToFrom), invalid if none was named.
func (s *Stream) From() netip.Addr { return s.key.own }

// Name is the name that the certificate of a peer has to carry that we have dialled by TLS.
func (s *Stream) Name() string { return s.key.name }

// Write queues a message; it never blocks. If too much is queued already, for this peer or for
// all, it is ErrBacklog: a writer for many peers must not wait for one that does not read.
// Messages are sent in order. The writing goroutine starts with the first message and ends when
// the queue is empty, so an idle stream has only its reader.
func (s *Stream) Write(b []byte) error { return s.enqueue(b, false) }

// enqueue is Write, also to a peer that sends no more if so.
func (s *Stream) enqueue(b []byte, also bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ended || s.half && !also {
		return ErrClosed
	}
	if !s.room(len(s.pending) + len(b)) {
		return ErrBacklog
	}
	s.pending = append(s.pending, b...)
	s.wake()
	return nil
}

// room makes room for so many bytes in pending; false: the stream may not have that much. The
// memory counts, not how much of it is used. The caller holds the lock.
func (s *Stream) room(need int) bool {
	have := cap(s.pending)
	if need <= have {
		return true
	}
	t := s.set
	most := min(t.cfg.MaxBacklog, t.queued.share()) - (s.queued - have)
	if need > most {
		return false
	}
	if have == 0 {
		s.pending = t.spares.take()
	}
	if c := cap(s.pending); need > c {
		s.pending = append(make([]byte, 0, max(need, min(2*c, most))), s.pending...)
	}
	s.account(cap(s.pending) - have)
	return true
}

// account notes that n more bytes of memory are queued, or fewer if n is negative. The caller
// holds the lock.
func (s *Stream) account(n int) {
	s.queued += n
	s.set.queued.add(n)
}

// unqueue takes back a buffer that was written or dropped.
func (s *Stream) unqueue(b []byte) {
	s.mu.Lock()
	s.account(-cap(b))
	s.mu.Unlock()
	s.set.spares.give(b)
}

// wake starts writing the queue, if there is a connection. The caller holds the lock.
func (s *Stream) wake() {
	if s.writing || s.conn == nil || len(s.pending) == 0 {
		return
	}
	s.writing = true
	s.writer.Add(1)
	go s.carrier()
}

// lastWordTime is how long the peer has to read the last answer.
const lastWordTime = 2 * time.Second

// lastWord calls Unreadable, and waits until the answer is written.
func (s *Stream) lastWord(raw []byte, err error) {
	defer time.AfterFunc(lastWordTime, func() { s.Close(ours(err)) }).Stop()
	s.gone.Store(true)
	s.set.handler.Unreadable(s, raw, err)
	s.mu.Lock()
	s.ended = true // so that no writer begins while the last one is waited for
	s.mu.Unlock()
	s.writer.Wait()
}

// Close ends the stream; Handler.Closed follows with err. It does not wait: the
// goroutine that owns the stream wakes up and closes the connection, which with
// TLS can take a while.
func (s *Stream) Close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed, s.err = true, err
	s.gone.Store(true)
	close(s.done)
	s.cancel()
	if s.conn != nil {
		_ = s.conn.SetDeadline(past)
	}
}

// past is a deadline that ends every wait.
var past = time.Unix(1, 0)

// extend sets a deadline of the connection, or removes it (0), unless the stream is
// closed: the deadline that Close has set is the last one.
func (s *Stream) extend(set func(time.Time) error, d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	var end time.Time
	if d > 0 {
		end = time.Now().Add(d)
	}
	_ = set(end)
	return true
}

// attach gives the stream its connection; false if it was closed meanwhile.
func (s *Stream) attach(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conn = straight(conn)
	if c, ok := s.conn.(stalling); ok {
		c.onStall(s.hurry)
	}
	s.Local = netaddr.Of(conn.LocalAddr())
	s.wake()
	return true
}

// Alone tells whether the stream is for one request (Streams.Alone).
func (s *Stream) Alone() bool { return s.alone }

// Own is Local, for other goroutines than the one that owns the stream.
func (s *Stream) Own() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Local
}

// Served is the number of messages that came in.
func (s *Stream) Served() uint64 { return s.served.Load() }

// write writes the queue to the connection, all of it at a time, until it is empty.
func (s *Stream) write() {
	defer s.writer.Done()
	for {
		s.mu.Lock()
		b := s.pending
		if len(b) == 0 || s.closed {
			s.writing = false
			s.mu.Unlock()
			return
		}
		s.pending = nil
		s.mu.Unlock()
		if n, err := s.carry(b); err != nil {
			s.left, s.vain = b, len(b)-n
			s.Close(err)
			continue
		}
		s.unqueue(b)
	}
}

// stalling is a connection that reports when a Write has to wait.
type stalling interface {
	onStall(f func() bool)
	stalled() bool
}

// carry writes a buffer, and tells how much of it was taken. If the connection reports when a
// Write has to wait, the deadline is set then, else before every Write.
func (s *Stream) carry(b []byte) (int, error) {
	conn, tells := s.conn.(stalling)
	if !tells && !s.hurry() {
		return 0, ErrClosed
	}
	n, err := s.conn.Write(b)
	if tells && conn.stalled() {
		s.extend(s.conn.SetWriteDeadline, 0)
	}
	if err == nil && s.lingers() && !s.arrives() {
		return 0, io.ErrClosedPipe
	}
	return n, err
}

// hurry sets the deadline of the present Write.
func (s *Stream) hurry() bool { return s.extend(s.conn.SetWriteDeadline, s.set.cfg.WriteTimeout) }
