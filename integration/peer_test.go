//go:build integration

package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A peer is a scripted SIP element on raw sockets, UDP and TCP on one address.
// It keeps every message that comes in. Requests go to its handler, which
// answers them or does not; a retransmission gets the same answer again without
// asking the handler (RFC 3261 17.2.2).
type peer struct {
	t       *testing.T
	name    string
	addr    string // "127.34.5.20:5060"
	udp     *net.UDPConn
	tcp     net.Listener
	trace   *os.File
	handler func(*message)
	// lean: for many thousands of messages. Nothing is traced or kept, what cannot
	// be sent is lost, and responses go to their handler.
	lean       bool
	onResponse func(*message)
	// deaf says what is not even looked at.
	deaf atomic.Pointer[func(raw []byte) bool]

	mu       sync.Mutex
	seen     []*message
	taken    map[*message]bool
	answers  map[string][]byte // by branch and method of the request
	received map[string]bool
	streams  map[string]*stream
	closed   bool
	work     sync.WaitGroup
}

// A stream is one TCP connection.
type stream struct {
	net.Conn
	mu sync.Mutex
}

func (s *stream) send(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.Write(b)
	return err
}

// peer starts a peer at an address of the site. The handler may be nil.
func (s *site) peer(name string, last, port int, handler func(*peer, *message)) *peer {
	s.t.Helper()
	return s.open(s.newPeer(name, last, port, handler))
}

// newPeer makes a peer that is still to be opened, for those who have to be whole
// before the first message comes to them.
func (s *site) newPeer(name string, last, port int, handler func(*peer, *message)) *peer {
	p := &peer{
		t: s.t, name: name, addr: net.JoinHostPort(s.ip(last), strconv.Itoa(port)),
		taken: map[*message]bool{}, answers: map[string][]byte{},
		received: map[string]bool{}, streams: map[string]*stream{},
	}
	if handler != nil {
		p.handler = func(m *message) { handler(p, m) }
	}
	return p
}

// leanPeer starts a peer for thousands, with its handlers of requests and responses.
func (s *site) leanPeer(name string, last, port int, request, response func(*message)) *peer {
	s.t.Helper()
	return s.open(&peer{
		t: s.t, name: name, addr: net.JoinHostPort(s.ip(last), strconv.Itoa(port)),
		taken: map[*message]bool{}, answers: map[string][]byte{},
		received: map[string]bool{}, streams: map[string]*stream{},
		lean: true, handler: request, onResponse: response,
	})
}

// open binds the addresses of a peer and starts to read.
func (s *site) open(p *peer) *peer {
	s.t.Helper()
	a, err := net.ResolveUDPAddr("udp4", p.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	if p.udp, err = net.ListenUDP("udp4", a); err != nil {
		s.t.Fatal(err)
	}
	_ = p.udp.SetReadBuffer(4 << 20)
	if p.tcp, err = net.Listen("tcp4", p.addr); err != nil {
		s.t.Fatal(err)
	}
	if p.trace, err = os.Create(s.file(p.name + ".sip")); err != nil {
		s.t.Fatal(err)
	}
	p.work.Add(2)
	go p.readUDP()
	go p.accept()
	s.t.Cleanup(p.close)
	return p
}

func (p *peer) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	for _, c := range p.streams {
		_ = c.Close()
	}
	p.mu.Unlock()
	_ = p.udp.Close()
	_ = p.tcp.Close()
	p.work.Wait()
	_ = p.trace.Close()
}

func (p *peer) readUDP() {
	defer p.work.Done()
	buf := make([]byte, 1<<16)
	for {
		n, from, err := p.udp.ReadFromUDP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < 5 {
			continue // a port that is closed at the other end, or a keep-alive
		}
		p.deliver(append([]byte(nil), buf[:n]...), "udp", from.String(), nil)
	}
}

func (p *peer) accept() {
	defer p.work.Done()
	for {
		c, err := p.tcp.Accept()
		if err != nil {
			return
		}
		p.serve(c, c.RemoteAddr().String())
	}
}

// serve reads a connection, known by the address of its other end.
func (p *peer) serve(c net.Conn, key string) *stream {
	s := &stream{Conn: c}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		_ = c.Close()
		return s
	}
	p.streams[key] = s
	p.work.Add(1)
	p.mu.Unlock()
	go func() {
		defer p.work.Done()
		r := bufio.NewReader(c)
		for {
			raw, err := readMessage(r)
			if err != nil {
				break
			}
			p.deliver(raw, "tcp", key, s)
		}
		_ = c.Close()
		p.mu.Lock()
		if p.streams[key] == s {
			delete(p.streams, key)
		}
		p.mu.Unlock()
	}()
	return s
}

// readMessage reads one message of a stream; its Content-Length frames it.
func readMessage(r *bufio.Reader) ([]byte, error) {
	var raw []byte
	length := 0
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if len(raw) == 0 && len(strings.TrimSpace(string(line))) == 0 {
			continue // keep-alive (RFC 5626 3.5.1)
		}
		raw = append(raw, line...)
		if string(line) == "\r\n" {
			break
		}
		name, value, _ := strings.Cut(string(line), ":")
		if n := strings.ToLower(strings.TrimSpace(name)); n == "content-length" || n == "l" {
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return append(raw, body...), nil
}

func (p *peer) isDeaf(to func(raw []byte) bool) { p.deaf.Store(&to) }

func (p *peer) deliver(raw []byte, transport, source string, c *stream) {
	if deaf := p.deaf.Load(); deaf != nil && (*deaf)(raw) {
		return
	}
	m := parse(raw)
	m.transport, m.source, m.conn = transport, source, c
	p.note("<-", transport, source, raw)
	key := ""
	if m.method != "" && len(m.all("via")) > 0 {
		key = m.branch() + m.method
	}
	p.mu.Lock()
	if key != "" {
		m.again = p.received[key]
		p.received[key] = true
	}
	answer, handler := p.answers[key], p.handler
	if !p.lean {
		p.seen = append(p.seen, m)
	}
	p.mu.Unlock()
	if m.method == "" && p.onResponse != nil {
		p.onResponse(m)
		return
	}
	if m.again {
		if answer != nil {
			p.respond(m, answer)
		}
		return
	}
	if m.method != "" && handler != nil {
		handler(m)
	}
}

// note writes to the trace of the peer.
func (p *peer) note(arrow, transport, other string, raw []byte) {
	if p.lean {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.trace, "%s %s %s %s\n%s\n\n", time.Now().Format("15:04:05.000000"), arrow, transport, other, raw)
}

// send sends bytes as they are.
func (p *peer) send(transport, to string, raw []byte) {
	p.t.Helper()
	p.note("->", transport, to, raw)
	if transport == "udp" {
		a, err := net.ResolveUDPAddr("udp4", to)
		if err != nil {
			p.t.Fatal(err)
		}
		if _, err := p.udp.WriteToUDP(raw, a); err != nil && !p.lean && !p.isClosed() {
			p.t.Errorf("%s: %v", p.name, err)
		}
		return
	}
	c, err := p.connect(to)
	if err != nil {
		if !p.lean {
			p.t.Errorf("%s: %v", p.name, err)
		}
		return
	}
	if err := c.send(raw); err != nil && !p.lean && !p.isClosed() {
		p.t.Errorf("%s: %v", p.name, err)
	}
}

func (p *peer) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// connect returns the connection to an address, a new one if there is none.
func (p *peer) connect(to string) (*stream, error) {
	p.mu.Lock()
	c := p.streams[to]
	p.mu.Unlock()
	if c != nil {
		return c, nil
	}
	host, _, _ := net.SplitHostPort(p.addr)
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
	conn, err := d.Dial("tcp4", to)
	if err != nil {
		return nil, err
	}
	return p.serve(conn, to), nil
}

// respond sends a response to where the request came from.
func (p *peer) respond(m *message, raw []byte) {
	p.mu.Lock()
	p.answers[m.branch()+m.method] = raw
	p.mu.Unlock()
	if m.conn != nil {
		p.note("->", "tcp", m.source, raw)
		_ = m.conn.send(raw)
		return
	}
	p.send("udp", m.source, raw)
}

// reply answers a request. Extra are header lines to add.
func (p *peer) reply(m *message, status int, reason string, extra ...string) {
	p.respond(m, response(m, status, reason, extra...))
}

// response builds the response of a user agent server.
func response(m *message, status int, reason string, extra ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d %s\r\n", status, reason)
	for _, h := range m.headers {
		switch h[0] {
		case "via":
			fmt.Fprintf(&b, "Via: %s\r\n", h[1])
		case "record-route":
			fmt.Fprintf(&b, "Record-Route: %s\r\n", h[1])
		}
	}
	to := m.get("to")
	if param(to, "tag") == "" && status > 100 {
		to += ";tag=" + token("t")
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n", m.get("from"), to, m.callID(), m.get("cseq"))
	for _, line := range extra {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return []byte(b.String())
}

// tokens numbers what has to be unique.
var tokens atomic.Uint64

// token is a string that no other call returns.
func token(prefix string) string {
	return fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), tokens.Add(1))
}

// request builds a request: Via with a new branch, Max-Forwards, the given
// header lines, Content-Length, body.
func (p *peer) request(transport, method, uri, body string, lines ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\n", method, uri)
	fmt.Fprintf(&b, "Via: SIP/2.0/%s %s;branch=z9hG4bK%s\r\n", strings.ToUpper(transport), p.addr, token("b"))
	b.WriteString("Max-Forwards: 70\r\n")
	for _, line := range lines {
		if line != "" {
			b.WriteString(line + "\r\n")
		}
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return []byte(b.String())
}

// do sends a request and waits for its final response, repeating it over UDP as
// Timer E says. It returns nil if none comes in time.
func (p *peer) do(transport, to string, raw []byte, within time.Duration) *message {
	p.t.Helper()
	req := parse(raw)
	final := func(m *message) bool {
		return m.status >= 200 && m.cseqMethod() == req.method && m.branch() == req.branch()
	}
	deadline := time.Now().Add(within)
	wait := 500 * time.Millisecond
	p.send(transport, to, raw)
	for {
		until := min(wait, time.Until(deadline))
		if m := p.find(until, final); m != nil {
			return m
		}
		if !time.Now().Before(deadline) || p.isClosed() {
			return nil
		}
		if transport == "udp" {
			p.send(transport, to, raw)
		}
		wait = min(2*wait, 4*time.Second)
	}
}

// find waits for a message that was not taken before, and takes it.
func (p *peer) find(within time.Duration, match func(*message) bool) *message {
	deadline := time.Now().Add(within)
	for {
		p.mu.Lock()
		for _, m := range p.seen {
			if !m.again && !p.taken[m] && match(m) {
				p.taken[m] = true
				p.mu.Unlock()
				return m
			}
		}
		closed := p.closed
		p.mu.Unlock()
		if closed || !time.Now().Before(deadline) {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// expect is find for what has to come.
func (p *peer) expect(within time.Duration, what string, match func(*message) bool) *message {
	p.t.Helper()
	m := p.find(within, match)
	if m == nil {
		p.t.Fatalf("%s: not within %v: %s", p.name, within, what)
	}
	return m
}

// all are the messages that match, retransmissions left out.
func (p *peer) all(match func(*message) bool) []*message {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*message
	for _, m := range p.seen {
		if !m.again && match(m) {
			all = append(all, m)
		}
	}
	return all
}

// count is how many messages match.
func (p *peer) count(match func(*message) bool) int { return len(p.all(match)) }

// to matches the requests of a method to a user (in To).
func to(method, user string) func(*message) bool {
	return func(m *message) bool { return m.method == method && userOf(m.get("to")) == user }
}
