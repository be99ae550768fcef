package transport

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rewatch/proxy/transport/netaddr"
)

// Errors of a Stream.
var (
	// ErrBacklog: the peer reads too slowly; what waits for it is at its bound.
	ErrBacklog = errors.New("write backlog full")
	// ErrClosed: the stream is closed.
	ErrClosed = errors.New("stream closed")
	// ErrTooLarge: a message beyond StreamConfig.MaxMessage.
	ErrTooLarge = errors.New("message too large")
	// ErrOurs is in the error of a stream that this side has closed: for what came by it,
	// for silence, for too much of anything. That says nothing of the peer, nor of what
	// else was under way on it.
	ErrOurs = errors.New("closed by this side")
	// ErrCrowded: the stream had to go, because all together have too much of what
	// is bounded: connections that have said nothing yet, or messages half sent.
	ErrCrowded = errors.New("too many streams at work")
)

// ours marks an error as the reason why this side closes a stream.
func ours(err error) error { return fmt.Errorf("%w: %w", ErrOurs, err) }

// Framer finds the first message in b: how many bytes before it do not matter
// (empty lines), and how long it is. n is 0 while more bytes are needed. The first seen
// bytes were looked at before, in vain.
type Framer func(b []byte, seen int) (skip, n int, err error)

// Handler takes what comes in. All methods are called from the goroutine that
// owns the stream; none may keep raw.
type Handler interface {
	Message(s *Stream, raw []byte)
	// Unreadable is what came last where no message can be found any more. What is
	// written then is the last word: the stream is closed behind it.
	Unreadable(s *Stream, raw []byte, err error)
	// Closed is called once per stream, after its last Message.
	Closed(s *Stream, err error)
}

// Stream is one TCP or TLS connection.
type Stream struct {
	// ID is unique in the process and never 0.
	ID uint64
	// Secure tells TLS from TCP.
	Secure bool
	// Peer is the remote address, Local the address that was accepted on or
	// dialled from (the zero value until the connection stands).
	Peer  netip.AddrPort
	Local netip.AddrPort
	// Dialled tells whether we opened it.
	Dialled bool
	// Listener is what Serve was given with the listener; nil if we dialled.
	Listener any
	// Used is for the owner of the set to note that something depends on the
	// stream; it means nothing here.
	Used atomic.Bool

	set    *Streams
	key    peerKey
	alone  bool              // it is for one question
	leaf   *x509.Certificate // of a peer that we have not dialled; the set's lock guards it
	ctx    context.Context   // ends with the stream; bounds its dial
	cancel context.CancelFunc
	// since is when it was accepted. The admission counts it while it is inside, and has
	// it in a list while it is silent. The lock of the set guards all of this.
	since          time.Time
	inside, silent bool
	before, after  *Stream

	mu      sync.Mutex
	conn    net.Conn
	pending []byte // what waits to be written
	queued  int    // the memory of that and of what is being written, in bytes
	writing bool   // a goroutine carries it to the connection
	carrier func() // which begins here: made once, as to start it for each message costs nothing then
	writer  sync.WaitGroup
	ended   bool // no more is to be written than waits already
	closed  bool
	err     error
	done    chan struct{}
	served  atomic.Uint64
	gone    atomic.Bool // nobody is to find it any more
}

// Write queues a message; it never blocks. Where too much waits already, for this peer or
// for all, it is ErrBacklog: whoever writes for many peers must not wait for one that
// does not read. Messages leave in their order. A
// goroutine that writes comes with the first message and goes when none waits, so
// a stream that is idle costs no more than its reader.
func (s *Stream) Write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ended {
		return ErrClosed
	}
	if !s.room(len(s.pending) + len(b)) {
		return ErrBacklog
	}
	s.pending = append(s.pending, b...)
	s.wake()
	return nil
}

// room has so many bytes fit into pending; false: that is more than the stream may have. What
// counts is the memory that it takes, not how much of it is used. The caller holds the lock.
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

// account notes that so much more memory is queued; less, where n is negative. The caller
// holds the lock.
func (s *Stream) account(n int) {
	s.queued += n
	s.set.queued.add(n)
}

// unqueue takes back a buffer that was written, or never will be.
func (s *Stream) unqueue(b []byte) {
	s.mu.Lock()
	s.account(-cap(b))
	s.mu.Unlock()
	s.set.spares.give(b)
}

// wake has what waits written, once there is a connection. The caller holds the lock.
func (s *Stream) wake() {
	if s.writing || s.conn == nil || len(s.pending) == 0 {
		return
	}
	s.writing = true
	s.writer.Add(1)
	go s.carrier()
}

// lastWordTime is how long the peer has to take the last word.
const lastWordTime = 2 * time.Second

// lastWord hands over what cannot be read, and gives the answer to that its time.
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

// past is a deadline that ends whatever waits.
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

// Alone tells whether the stream is for one question (Streams.Alone).
func (s *Stream) Alone() bool { return s.alone }

// Own is Local, for others than the goroutine that owns the stream.
func (s *Stream) Own() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Local
}

// Served is the number of messages that came in.
func (s *Stream) Served() uint64 { return s.served.Load() }

// write carries queued bytes to the connection, all that has gathered at a time,
// until there are none.
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
		if err := s.carry(b); err != nil {
			s.Close(err)
		}
	}
}

// stalling is a connection that says when a Write has to wait.
type stalling interface {
	onStall(f func() bool)
	stalled() bool
}

// carry writes a buffer, which goes back to the set. The deadline is set when the
// peer keeps us waiting, where the connection tells, and else in any case.
func (s *Stream) carry(b []byte) error {
	defer s.unqueue(b)
	conn, tells := s.conn.(stalling)
	if !tells && !s.hurry() {
		return ErrClosed
	}
	_, err := s.conn.Write(b)
	if tells && conn.stalled() {
		s.extend(s.conn.SetWriteDeadline, 0)
	}
	return err
}

// hurry gives the peer its time to take what is being written.
func (s *Stream) hurry() bool { return s.extend(s.conn.SetWriteDeadline, s.set.cfg.WriteTimeout) }

// end waits for the writer of a stream that is closed, and drops what waits still.
func (s *Stream) end() {
	s.writer.Wait()
	s.mu.Lock()
	b := s.pending
	s.pending = nil
	s.mu.Unlock()
	if b != nil {
		s.unqueue(b)
	}
}
