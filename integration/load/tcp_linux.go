package load

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"rewatch/proxy/wire"
)

const streamBuffer = 256 << 10

// conn is one connection of a link.
type conn struct {
	fd      int
	in      []byte // what has come of the next messages
	have    int
	out     []byte
	written int
}

// tcpLink listens, and keeps one connection of its own to the target.
type tcpLink struct {
	listener      int
	local, target netip.AddrPort
	dialled       *conn
	conns         []*conn
	scratch       []byte
}

func openTCP(local, target netip.AddrPort) (link, error) {
	fd, err := listenOn(unix.SOCK_STREAM, local)
	if err != nil {
		return nil, err
	}
	if err := unix.Listen(fd, 128); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &tcpLink{listener: fd, local: local, target: target, scratch: make([]byte, 0, datagramRoom)}, nil
}

func (l *tcpLink) add(fd int) (*conn, error) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	c := &conn{fd: fd, in: make([]byte, streamBuffer)}
	l.conns = append(l.conns, c)
	return c, nil
}

// connect opens our connection unless it stands; it may block for a moment.
func (l *tcpLink) connect() error {
	if l.dialled != nil && l.dialled.fd >= 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	own := netip.AddrPortFrom(l.local.Addr(), 0)
	if err := errors.Join(unix.Bind(fd, sockaddr4(own)), unix.Connect(fd, sockaddr4(l.target))); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("connect to %s: %w", l.target, err)
	}
	l.dialled, err = l.add(fd)
	return err
}

func (l *tcpLink) receive(handle func([]byte, origin)) (bool, error) {
	if fd, _, err := unix.Accept4(l.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC); err == nil {
		if _, err := l.add(fd); err != nil {
			return false, err
		}
	}
	busy := false
	for _, c := range l.conns {
		got, err := c.read(handle)
		if err != nil {
			return false, err
		}
		busy = busy || got
	}
	return busy, nil
}

func (c *conn) read(handle func([]byte, origin)) (bool, error) {
	if c.fd < 0 {
		return false, nil
	}
	n, err := unix.Read(c.fd, c.in[c.have:])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return false, nil
	case err != nil || n == 0:
		// A neighbour may close what it does not need; if it was needed,
		// messages are lost and counted.
		_ = unix.Close(c.fd)
		c.fd = -1
		return false, nil
	}
	c.have += n
	return true, c.cut(handle)
}

// cut hands over the complete messages.
func (c *conn) cut(handle func([]byte, origin)) error {
	at := 0
	for at < c.have {
		skip, n, err := wire.FrameFrom(c.in[at:c.have], 0)
		if err != nil {
			return fmt.Errorf("framing: %w", err)
		}
		at += skip
		if n == 0 || at+n > c.have {
			break
		}
		handle(c.in[at:at+n], origin{conn: c})
		at += n
	}
	c.have = copy(c.in, c.in[at:c.have])
	return nil
}

func (l *tcpLink) begin() []byte { return l.scratch[:0] }

func (l *tcpLink) request(b []byte) {
	l.scratch = b
	if l.dialled != nil {
		l.dialled.out = append(l.dialled.out, b...)
	}
}

func (l *tcpLink) reply(b []byte, to origin) {
	l.scratch = b
	to.conn.out = append(to.conn.out, b...)
}

func (l *tcpLink) flush() error {
	for _, c := range l.conns {
		if err := c.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) flush() error {
	if c.fd < 0 {
		c.out, c.written = c.out[:0], 0
		return nil
	}
	for c.written < len(c.out) {
		n, err := unix.Write(c.fd, c.out[c.written:])
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			break
		}
		if err != nil {
			return errGone
		}
		c.written += n
	}
	switch {
	case c.written == len(c.out):
		c.out, c.written = c.out[:0], 0
	case c.written > streamBuffer:
		c.out = c.out[:copy(c.out, c.out[c.written:])]
		c.written = 0
	}
	return nil
}

func (l *tcpLink) backlog() (n int) {
	for _, c := range l.conns {
		n += len(c.out) - c.written
	}
	return n
}

func (l *tcpLink) descriptors() []int {
	fds := []int{l.listener}
	for _, c := range l.conns {
		if c.fd >= 0 {
			fds = append(fds, c.fd)
		}
	}
	return fds
}

func (l *tcpLink) wait(other link, d time.Duration) {
	sleepOn(append(l.descriptors(), other.descriptors()...), d)
}

func (l *tcpLink) close() {
	for _, fd := range l.descriptors() {
		_ = unix.Close(fd)
	}
}
