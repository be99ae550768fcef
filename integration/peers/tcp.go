package peers

import (
	"net"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"
)

func (e *endpoint) acceptTCP() {
	for {
		c, err := e.tcp.Accept()
		if err != nil {
			return
		}
		e.adopt(c)
	}
}

// adopt makes a connection usable for sending and reads from it.
func (e *endpoint) adopt(c net.Conn) {
	remote := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		_ = c.Close()
		return
	}
	e.conns[remote] = c
	e.wg.Go(func() { e.readTCP(c, hop{tcp: true, addr: remote}) })
	e.mu.Unlock()
}

func (e *endpoint) readTCP(c net.Conn, from hop) {
	defer e.drop(c, from.addr)
	stream := sip.NewParser().NewSIPStream()
	defer stream.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		err = stream.ParseSIPStream(buf[:n], func(msg sip.Message) { e.receive(msg, from, time.Now()) })
		if err != nil && err != sip.ErrParseSipPartial { //nolint:errorlint // sipgo returns the bare value
			return
		}
	}
}

func (e *endpoint) drop(c net.Conn, remote netip.AddrPort) {
	_ = c.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conns[remote] == c {
		delete(e.conns, remote)
	}
}

// sendTCP uses the connection the neighbour opened (or we did), else opens one.
func (e *endpoint) sendTCP(data []byte, to netip.AddrPort) error {
	e.mu.Lock()
	c := e.conns[to]
	e.mu.Unlock()
	if c == nil {
		var err error
		d := net.Dialer{Timeout: time.Second}
		if c, err = d.DialContext(e.ctx, "tcp4", to.String()); err != nil {
			return err
		}
		e.adopt(c)
	}
	_, err := c.Write(data)
	return err
}
