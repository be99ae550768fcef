package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Timers are the two base values of RFC 3261 17.1.1.1. The zero value means the
// standard's 500 ms and 4 s; tests shorten them.
type Timers struct {
	T1, T2 time.Duration
}

func (t Timers) orStandard() Timers {
	if t.T1 == 0 {
		t.T1 = 500 * time.Millisecond
	}
	if t.T2 == 0 {
		t.T2 = 8 * t.T1
	}
	return t
}

// timeout is Timer F and Timer J.
func (t Timers) timeout() time.Duration { return 64 * t.T1 }

// hop is a neighbour as it is reached: its address and the transport.
type hop struct {
	tcp  bool
	addr netip.AddrPort
}

func (h hop) transport() string {
	if h.tcp {
		return "TCP"
	}
	return "UDP"
}

// endpoint is what every peer stands on: a UDP and a TCP socket of one address,
// the transactions on them, and the goroutines that read and wait.
type endpoint struct {
	name   string
	trace  Trace
	timers Timers
	addr   netip.AddrPort
	udp    *net.UDPConn
	tcp    net.Listener

	// onRequest takes a request that is no retransmission of an answered one;
	// onResponse one that belongs to no client transaction here. Both are called
	// from the read loops and must not block.
	onRequest  func(req *sip.Request, from hop)
	onResponse func(res *sip.Response, from hop)
	// loses, if set, names the received messages that a fault swallows.
	loses func(msg sip.Message) bool

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	conns    map[netip.AddrPort]net.Conn
	open     map[string]chan *sip.Response
	answered map[string]answer
	seen     map[string]time.Time
	swept    time.Time
}

// listen opens the sockets; start must follow once the handlers are set.
func listen(name, addr string, timers Timers, trace Trace) (*endpoint, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	udp, tcp, err := bind(addr)
	if err != nil {
		return nil, fmt.Errorf("%s: listen on %s: %w", name, addr, err)
	}
	if trace == nil {
		trace = func(Passed) {}
	}
	e := &endpoint{
		name:     name,
		trace:    trace,
		timers:   timers.orStandard(),
		addr:     udp.LocalAddr().(*net.UDPAddr).AddrPort(),
		udp:      udp,
		tcp:      tcp,
		conns:    make(map[netip.AddrPort]net.Conn),
		open:     make(map[string]chan *sip.Response),
		answered: make(map[string]answer),
		seen:     make(map[string]time.Time),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e, nil
}

// bind takes the same port for UDP and TCP. With port 0 the one that UDP was
// given may be taken for TCP, so it tries a few.
func bind(addr string) (*net.UDPConn, net.Listener, error) {
	var last error
	for range 8 {
		ua, err := net.ResolveUDPAddr("udp4", addr)
		if err != nil {
			return nil, nil, err
		}
		udp, err := net.ListenUDP("udp4", ua)
		if err != nil {
			return nil, nil, err
		}
		tcp, err := net.Listen("tcp4", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp, nil
		}
		last = errors.Join(err, udp.Close())
		if ua.Port != 0 {
			break
		}
	}
	return nil, nil, last
}

func (e *endpoint) start() {
	e.spawn(e.readUDP)
	e.spawn(e.acceptTCP)
}

// spawn runs f in a goroutine that close waits for.
func (e *endpoint) spawn(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.wg.Go(f)
}

func (e *endpoint) close() {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return
	}
	e.closed = true
	conns := e.conns
	e.conns = nil
	e.mu.Unlock()

	e.cancel()
	_ = e.udp.Close()
	_ = e.tcp.Close()
	for _, c := range conns {
		_ = c.Close()
	}
	e.wg.Wait()
}

func (e *endpoint) readUDP() {
	stampArrivals(e.udp)
	buf, control := make([]byte, 64<<10), make([]byte, stampSize)
	for {
		n, c, _, from, err := e.udp.ReadMsgUDPAddrPort(buf, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier datagram
		}
		at := arrival(control[:c])
		msg, err := sip.ParseMessage(buf[:n])
		if err != nil {
			continue
		}
		e.receive(msg, hop{addr: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}, at)
	}
}

// receive traces a message and hands it to its transaction or to the peer.
func (e *endpoint) receive(msg sip.Message, from hop, at time.Time) {
	lost := e.loses != nil && e.loses(msg)
	p := passed(e.name, msg)
	p.At, p.From, p.To, p.Lost = at, from.addr, e.addr, lost
	repeat := e.tell(msg, p)
	if lost {
		return
	}
	switch m := msg.(type) {
	case *sip.Request:
		e.receiveRequest(m, from, repeat)
	case *sip.Response:
		if ch := e.transactionOf(m); ch != nil {
			select {
			case ch <- m:
			default: // the transaction already has more than it will read
			}
		} else if e.onResponse != nil {
			e.onResponse(m, from)
		}
	}
}

// send writes a message to a neighbour; a failure looks like a lost datagram.
func (e *endpoint) send(msg sip.Message, to hop) error {
	e.tellSent(msg, to, false)
	data := []byte(msg.String())
	if to.tcp {
		return e.sendTCP(data, to.addr)
	}
	_, err := e.udp.WriteToUDPAddrPort(data, to.addr)
	return err
}

// swallow tells of a message that a fault keeps from being sent.
func (e *endpoint) swallow(msg sip.Message, to hop) {
	e.tellSent(msg, to, true)
}

func (e *endpoint) tellSent(msg sip.Message, to hop, lost bool) {
	p := passed(e.name, msg)
	p.At, p.From, p.To, p.Sent, p.Lost = time.Now(), e.addr, to.addr, true, lost
	e.tell(msg, p)
}

func (e *endpoint) tell(msg sip.Message, p Passed) (repeat bool) {
	p.Repeat = e.sighted(msg, p)
	e.trace(p)
	return p.Repeat
}

// sighted remembers a message and says whether it passed here before.
func (e *endpoint) sighted(msg sip.Message, p Passed) bool {
	key := fmt.Sprintf("%t %d %s", p.Sent, p.Status, transactionKey(msg))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep(p.At)
	_, again := e.seen[key]
	e.seen[key] = p.At
	return again
}

// sweep forgets what is older than Timer J; called with mu held.
func (e *endpoint) sweep(now time.Time) {
	if now.Sub(e.swept) < e.timers.timeout() {
		return
	}
	e.swept = now
	for k, at := range e.seen {
		if now.Sub(at) > e.timers.timeout() {
			delete(e.seen, k)
		}
	}
	for k, a := range e.answered {
		if now.Sub(a.at) > e.timers.timeout() {
			delete(e.answered, k)
		}
	}
}
