// Package transporttest is a network in memory: datagram sockets, listeners and
// connections that block on channels and nothing else, so that testing/synctest
// can tell when all is still and let hours pass in no time.
//
// A Rule decides about every datagram: it can be lost, doubled or late, and what
// is late is overtaken. Connections are pipes: they lose nothing, and a reader who
// does not read holds up the writer.
package transporttest

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Datagram is one datagram under way.
type Datagram struct {
	From, To netip.AddrPort
	Bytes    []byte
}

// Rule says after which delays a datagram arrives, once for each: none at all
// loses it, two zeros double it, and one that is delayed is overtaken by others.
type Rule func(Datagram) []time.Duration

// Network joins sockets by their addresses. The zero Network is ready.
type Network struct {
	mu        sync.Mutex
	packets   map[netip.AddrPort]*PacketConn
	listeners map[netip.AddrPort]*Listener
	rule      Rule
	silent    map[netip.AddrPort]bool
	refuse    func(Datagram) error
	last      uint16
}

// SetRule sets the rule for datagrams from now on; nil delivers each once.
func (n *Network) SetRule(r Rule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rule = r
}

// SetRefusal sets what a sender is told at once instead of its datagram being carried,
// as by a kernel without a route; nil refuses none.
func (n *Network) SetRefusal(f func(Datagram) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuse = f
}

// Blackhole makes an address swallow connection attempts instead of refusing them.
func (n *Network) Blackhole(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.silent == nil {
		n.silent = map[netip.AddrPort]bool{}
	}
	n.silent[netip.MustParseAddrPort(addr)] = true
}

// ListenPacket opens a datagram socket. It panics if the address is taken.
func (n *Network) ListenPacket(addr string) *PacketConn {
	c := &PacketConn{
		net: n, addr: netip.MustParseAddrPort(addr),
		queue: make(chan Datagram, queueLength), done: make(chan struct{}),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.packets == nil {
		n.packets = map[netip.AddrPort]*PacketConn{}
	}
	if n.packets[c.addr] != nil {
		panic("address in use: " + addr)
	}
	n.packets[c.addr] = c
	return c
}

// Listen opens a listener for connections. It panics if the address is taken.
func (n *Network) Listen(addr string) *Listener {
	l := &Listener{net: n, addr: netip.MustParseAddrPort(addr), queue: make(chan net.Conn, queueLength), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = map[netip.AddrPort]*Listener{}
	}
	if n.listeners[l.addr] != nil {
		panic("address in use: " + addr)
	}
	n.listeners[l.addr] = l
	return l
}

// Dial connects to a listener, from an ephemeral port of the given address.
func (n *Network) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[to]
	silent := n.silent[to]
	n.last++
	local := netip.AddrPortFrom(from, 32768+n.last)
	n.mu.Unlock()
	switch {
	case silent:
		<-ctx.Done()
		return nil, ctx.Err()
	case l == nil:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	select {
	case l.queue <- &conn{far, to, local}:
		return &conn{near, local, to}, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// send applies the rule and carries a datagram to its socket. It reports false if
// nobody listens there.
func (n *Network) send(d Datagram) (arrives bool, err error) {
	n.mu.Lock()
	to, rule, refuse := n.packets[d.To], n.rule, n.refuse
	n.mu.Unlock()
	if refuse != nil {
		if err := refuse(d); err != nil {
			return true, err
		}
	}
	if to == nil {
		return false, nil
	}
	delays := []time.Duration{0}
	if rule != nil {
		delays = rule(d)
	}
	for _, after := range delays {
		if after == 0 {
			to.deliver(d)
		} else {
			time.AfterFunc(after, func() { to.deliver(d) })
		}
	}
	return true, nil
}

func (n *Network) forget(addr netip.AddrPort, packet bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if packet {
		delete(n.packets, addr)
	} else {
		delete(n.listeners, addr)
	}
}
