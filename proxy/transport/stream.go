package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of a Stream.
var (
	// ErrBacklog: the peer reads too slowly; what waits for it is at its bound.
	ErrBacklog = errors.New("write backlog full")
	// ErrClosed: the stream is closed.
	ErrClosed = errors.New("stream closed")
	// ErrTooLarge: a message beyond StreamConfig.MaxMessage.
	ErrTooLarge = errors.New("message too large")
)

// Framer finds the first message in b: how many bytes before it do not matter
// (empty lines), and how long it is. n is 0 while more bytes are needed.
type Framer func(b []byte) (skip, n int, err error)

// Handler takes what comes in. Both methods are called from the goroutine that
// owns the stream; Message must not keep raw.
type Handler interface {
	Message(s *Stream, raw []byte)
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
	ctx    context.Context // ends with the stream; bounds its dial
	cancel context.CancelFunc

	mu      sync.Mutex
	conn    net.Conn
	pending []byte
	spare   []byte
	wake    chan struct{}
	room    chan struct{} // signalled when the backlog was taken
	closed  bool
	err     error
	done    chan struct{}
	served  atomic.Uint64
}

// Write queues a message; it never blocks. Messages leave in their order.
func (s *Stream) Write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if len(s.pending)+len(b) > s.set.cfg.MaxBacklog {
		return ErrBacklog
	}
	s.pending = append(s.pending, b...)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// WriteWithin is Write for those who can wait: where the backlog is full it gives
// the peer that long to read. Whoever reads from one stream and writes to another
// so passes the slowness of the one on to the other, as TCP does.
func (s *Stream) WriteWithin(b []byte, d time.Duration) error {
	err := s.Write(b)
	if d == 0 || !errors.Is(err, ErrBacklog) {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	for errors.Is(err, ErrBacklog) {
		select {
		case <-t.C:
			return err
		case <-s.done:
		case <-s.room:
		}
		err = s.Write(b)
	}
	return err
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
	close(s.done)
	s.cancel()
	if s.conn != nil {
		_ = s.conn.SetDeadline(past)
	}
}

// past is a deadline that ends whatever waits.
var past = time.Unix(1, 0)

// extend sets a deadline of the connection, unless the stream is closed: the
// deadline that Close has set is the last one.
func (s *Stream) extend(set func(time.Time) error, d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	_ = set(time.Now().Add(d))
	return true
}

// attach gives the stream its connection; false if it was closed meanwhile.
func (s *Stream) attach(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conn = conn
	s.Local = addrPort(conn.LocalAddr())
	return true
}

// Own is Local, for others than the goroutine that owns the stream.
func (s *Stream) Own() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Local
}

// Served is the number of messages that came in.
func (s *Stream) Served() uint64 { return s.served.Load() }

// write carries queued bytes to the connection, all that has gathered at a time.
func (s *Stream) write(timeout time.Duration) {
	for {
		select {
		case <-s.done:
			return
		case <-s.wake:
		}
		for {
			s.mu.Lock()
			b := s.pending
			if len(b) == 0 || s.closed {
				s.mu.Unlock()
				break
			}
			s.pending, s.spare = s.spare[:0], nil
			s.mu.Unlock()
			select {
			case s.room <- struct{}{}:
			default:
			}
			if !s.extend(s.conn.SetWriteDeadline, timeout) {
				return
			}
			if _, err := s.conn.Write(b); err != nil {
				s.Close(err)
				return
			}
			s.mu.Lock()
			if cap(b) <= maxKeptOutbox {
				s.spare = b[:0]
			}
			s.mu.Unlock()
		}
	}
}

const (
	firstBuffer = 4096
	// maxIdleBuffer bounds the buffer that a stream keeps between messages.
	maxIdleBuffer = 64 << 10
)

// read cuts the stream into messages until it ends. A deadline is set when a
// message begins and not moved by its later bytes, so that a slow sender cannot
// hold a stream open with one byte at a time.
func (s *Stream) read() error {
	cfg := &s.set.cfg
	buf := make([]byte, 0, firstBuffer)
	begins := true
	for {
		if len(buf) == cap(buf) {
			if cap(buf) >= cfg.MaxMessage {
				return ErrTooLarge
			}
			buf = append(make([]byte, 0, min(2*cap(buf), cfg.MaxMessage)), buf...)
		}
		if begins && !s.extend(s.conn.SetReadDeadline, s.patience(len(buf))) {
			return ErrClosed
		}
		n, err := s.conn.Read(buf[len(buf):cap(buf)])
		begins = len(buf) == 0 && n > 0
		buf = buf[:len(buf)+n]
		if n > 0 {
			rest, ferr := s.cut(buf)
			if ferr != nil {
				return ferr
			}
			begins = begins || len(rest) < len(buf)
			if len(rest) == 0 && cap(buf) > maxIdleBuffer {
				buf = make([]byte, 0, firstBuffer) // ten thousand idle streams are not to keep their largest
			}
			buf = append(buf[:0], rest...)
		}
		if err != nil {
			return err
		}
	}
}

// patience is how long to wait for the next bytes with have bytes of a message
// there: long between messages, short within one and before the first.
func (s *Stream) patience(have int) time.Duration {
	if have == 0 && (s.Dialled || s.Served() > 0) {
		return s.set.cfg.IdleTimeout
	}
	return s.set.cfg.MessageTimeout
}

// cut hands over the complete messages in buf and gives what remains.
func (s *Stream) cut(buf []byte) ([]byte, error) {
	for len(buf) > 0 {
		skip, n, err := s.set.cfg.Frame(buf)
		if err != nil {
			return nil, err
		}
		if skip >= 4 && n == 0 {
			_ = s.Write([]byte("\r\n")) // keep-alive ping and pong, RFC 5626 4.4.1
		}
		buf = buf[skip:]
		if n == 0 {
			break
		}
		if n > s.set.cfg.MaxMessage {
			return nil, ErrTooLarge
		}
		if n > len(buf) {
			break
		}
		s.served.Add(1)
		s.set.handler.Message(s, buf[:n])
		buf = buf[n:]
	}
	return buf, nil
}
