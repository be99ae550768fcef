package transporttest

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"time"
)

// queueLength is how much waits at a socket; beyond it datagrams are lost, as in
// a kernel.
const queueLength = 4096

// PacketConn is a datagram socket of a Network.
type PacketConn struct {
	// OnRefused, if set before the first datagram is sent, is told of those that
	// nobody was there to take, as by ICMP.
	OnRefused func(to netip.AddrPort, payload []byte)

	net   *Network
	addr  netip.AddrPort
	queue chan Datagram
	once  sync.Once
	done  chan struct{}
}

var _ net.PacketConn = (*PacketConn)(nil)

func (c *PacketConn) deliver(d Datagram) {
	select {
	case c.queue <- d:
	default:
	}
}

// ReadFrom waits for a datagram.
func (c *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-c.queue:
		return copy(b, d.Bytes), net.UDPAddrFromAddrPort(d.From), nil
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

// Poll gives a datagram if there is one.
func (c *PacketConn) Poll() (Datagram, bool) {
	select {
	case d := <-c.queue:
		return d, true
	default:
		return Datagram{}, false
	}
}

// WriteTo sends a datagram.
func (c *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-c.done:
		return 0, net.ErrClosed
	default:
	}
	d := Datagram{From: c.addr, To: to.(*net.UDPAddr).AddrPort(), Bytes: bytes.Clone(b)} //nolint:forcetypeassert // it is
	d.To = netip.AddrPortFrom(d.To.Addr().Unmap(), d.To.Port())
	arrives, err := c.net.send(d)
	if err != nil {
		return 0, &net.OpError{Op: "write", Net: "udp", Addr: to, Err: err}
	}
	if !arrives && c.OnRefused != nil {
		go c.OnRefused(d.To, d.Bytes)
	}
	return len(b), nil
}

// Close ends the socket; its address is free again.
func (c *PacketConn) Close() error {
	c.once.Do(func() {
		c.net.forget(c.addr, true)
		close(c.done)
	})
	return nil
}

// LocalAddr is a *net.UDPAddr.
func (c *PacketConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

// SetDeadline does nothing, nor do the two below: nobody here needs them.
func (c *PacketConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (c *PacketConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (c *PacketConn) SetWriteDeadline(time.Time) error { return nil }

// Listener accepts the connections of a Network.
type Listener struct {
	net   *Network
	addr  netip.AddrPort
	queue chan net.Conn
	once  sync.Once
	done  chan struct{}
}

var _ net.Listener = (*Listener)(nil)

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends the listener; its address is free again.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.net.forget(l.addr, false)
		close(l.done)
	})
	return nil
}

// Addr is a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// conn is one end of a connection: a pipe with addresses.
type conn struct {
	net.Conn

	local, remote netip.AddrPort
}

func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }
