package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/socket"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/transport/transporttest"
	"rewatch/proxy/wire"
)

// The places of the tests: rewatch has coreSide and serverSide, the core and the
// presence server one address each.
const (
	coreSide   = "10.0.0.1:5060"
	serverSide = "10.1.0.1:5062"
	coreAddr   = "10.0.0.2:5060"
	serverAddr = "10.1.0.2:5070"
)

// rig is a Server in a network in memory, with a scripted Monitor and Resolver.
type rig struct {
	*testing.T

	net     *transporttest.Network
	s       *Server
	monitor *monitor
	names   *resolver
	core    *peer
	server  *peer
}

type option func(*Config)

// play runs a test in a bubble with a virtual clock.
func play(t *testing.T, f func(r *rig), opts ...option) {
	t.Helper()
	playWith(t, nil, f, opts...)
}

// playWith is play with further sockets, such as "core udp 10.0.0.11:5060".
func playWith(t *testing.T, sockets []string, f func(r *rig), opts ...option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sockets, opts...)
		defer func() { // also after Fatal
			r.s.Shutdown()
			synctest.Wait()
		}()
		f(r)
	})
}

func newRig(t testing.TB, sockets []string, opts ...option) *rig {
	r := &rig{net: &transporttest.Network{}, monitor: &monitor{}, names: &resolver{}}
	r.T, _ = t.(*testing.T)
	packet := func(addr string) *transporttest.PacketConn {
		c := r.net.ListenPacket(addr)
		c.OnRefused = func(to netip.AddrPort, payload []byte) { r.s.undelivered(to, payload, datagram.ErrUnreachable) }
		return c
	}
	cfg := Config{
		Listeners: []socket.Listener{
			{Side: dialogs.Core, Network: "udp", Packet: packet(coreSide)},
			{Side: dialogs.Core, Network: "tcp", Stream: r.net.Listen(coreSide)},
			{Side: dialogs.Server, Network: "udp", Packet: packet(serverSide)},
			{Side: dialogs.Server, Network: "tcp", Stream: r.net.Listen(serverSide)},
		},
		Server:  "sip:" + serverAddr,
		Core:    []string{"sip:" + coreAddr},
		Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
		Monitor: r.monitor, Resolver: r.names, NotifyTimeout: 28 * time.Second, MaxTransactions: 10_000,
		Dial: func(ctx context.Context, side dialogs.Side, to netip.AddrPort) (net.Conn, error) {
			from := netip.MustParseAddrPort(coreSide)
			if side == dialogs.Server {
				from = netip.MustParseAddrPort(serverSide)
			}
			return r.net.Dial(ctx, from.Addr(), to)
		},
	}
	for _, s := range sockets {
		var side, network, addr string
		_, _ = fmt.Sscan(s, &side, &network, &addr)
		l := socket.Listener{Network: network}
		if side == "server" {
			l.Side = dialogs.Server
		}
		if network == "udp" {
			l.Packet = packet(addr)
		} else {
			l.Stream = r.net.Listen(addr)
		}
		cfg.Listeners = append(cfg.Listeners, l)
	}
	for _, o := range opts {
		o(&cfg)
	}
	var err error
	if r.s, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	r.core, r.server = r.peer(coreAddr), r.peer(serverAddr)
	r.s.Start() // the peers are there already: it may ask for them at once
	return r
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// peer is a neighbour that speaks UDP.
type peer struct {
	r    *rig
	conn *transporttest.PacketConn
}

func (r *rig) peer(addr string) *peer { return &peer{r, r.net.ListenPacket(addr)} }

// send sends a message, written with bare line ends, to one of our sockets.
func (p *peer) send(to, msg string) {
	p.r.Helper()
	_, _ = p.conn.WriteTo([]byte(crlf(msg)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
	synctest.Wait()
}

// poll gives what has come, or nothing.
func (p *peer) poll() string {
	synctest.Wait()
	d, _ := p.conn.Poll()
	return string(d.Bytes)
}

// want fails unless a message has come that begins so.
func (p *peer) want(start string) string {
	p.r.Helper()
	got := p.poll()
	if !strings.HasPrefix(got, start) {
		p.r.Fatalf("want %s, got %q", start, got)
	}
	return got
}

// exactly fails unless that message has come, byte for byte but for our hashes.
func (p *peer) exactly(msg string) string {
	p.r.Helper()
	got := p.poll()
	same(p.r.T, got, crlf(msg))
	return got
}

// nothing fails if something has come.
func (p *peer) nothing() {
	p.r.Helper()
	if got := p.poll(); got != "" {
		p.r.Fatalf("unexpected: %q", got)
	}
}

var (
	ourBranch = regexp.MustCompile(`z9hG4bKrw[a-z]{2}[0-9a-f]{24}(-[0-9a-f]+)?`)
	ourTag    = regexp.MustCompile(`tag=rw[0-9a-f]{16}`)
)

// plain replaces what differs from run to run.
func plain(s string) string {
	return ourTag.ReplaceAllString(ourBranch.ReplaceAllString(s, "OURS"), "tag=OURS")
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got = plain(got); got != want {
		t.Fatalf("got\n%s\nwant\n%s\n%q\n%q", got, want, got, want)
	}
}

// crlf gives a message its line ends. One that ends with its last header gets the
// empty line.
func crlf(s string) string {
	s = strings.TrimPrefix(s, "\n")
	head, body, cut := strings.Cut(s, "\n\n")
	head = strings.ReplaceAll(strings.TrimSuffix(head, "\n"), "\n", "\r\n") + "\r\n\r\n"
	if cut {
		return head + body
	}
	return head
}

// reply makes a response to a request as it was received, with the tag of a UAS.
func reply(request, status string, more ...string) string {
	var m wire.Message
	if err := wire.Scan([]byte(request), &m); err != nil {
		panic(fmt.Sprintf("%v in %q", err, request))
	}
	b := "SIP/2.0 " + status + "\n"
	for i, l := range m.Lines {
		switch l.Name { //nolint:exhaustive // the others are not copied
		case wire.Via, wire.From, wire.CallID, wire.CSeq, wire.RecordRoute:
			b += strings.TrimSuffix(string(m.Raw[l.Start:l.End]), "\r\n") + "\n"
		case wire.To:
			b += strings.TrimSuffix(string(m.Raw[l.Start:l.End]), "\r\n")
			if len(wire.Tag(m.At(i))) == 0 {
				b += ";tag=uas"
			}
			b += "\n"
		}
	}
	for _, l := range more {
		b += l + "\n"
	}
	return b + "Content-Length: 0\n"
}

// monitor is scripted, and writes down what it is told.
type monitor struct {
	subscribe, notify, register dialogs.Ruling
	verdict                     func(dialogs.Outcome) dialogs.Verdict
	announce                    func() // nil: nothing

	mu       sync.Mutex
	seen     []string
	outcomes []dialogs.Outcome
	refs     dialogs.Ref
	// open are the transactions by Ref, answered those that had a 2xx.
	open     map[dialogs.Ref]uint64
	answered map[uint64]bool
	waits    bool // for a sign of life
	safe     func()
	quiet    bool // nothing is noted, nor allocated
	// named is who named the watcher of the last SUBSCRIBE, or that nobody does.
	named string
}

func (m *monitor) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = append(m.seen, fmt.Sprintf(format, args...))
}

func (m *monitor) Subscribe(msg *dialogs.Message) dialogs.Ruling {
	if !m.quiet {
		m.note("SUBSCRIBE %s", msg.CallID)
		m.named = ""
		for _, uri := range msg.Identities {
			m.named += strings.TrimSuffix(strings.TrimPrefix(string(uri), "sip:"), "@ims.example")
		}
		if msg.Unasserted {
			m.named = "unasserted"
		}
	}
	return m.subscribe
}

func (m *monitor) SubscribeDone(msg *dialogs.Message) {
	if !m.quiet {
		m.note("SUBSCRIBE done %d", msg.Status)
	}
}

func (m *monitor) Announce(dialogs.Ref, uint32) {
	if m.announce != nil {
		m.announce()
	}
}

func (m *monitor) Register(msg *dialogs.Message) dialogs.Ruling {
	if !m.quiet {
		m.note("REGISTER %s", msg.CallID)
		if m.named = ""; msg.Unasserted {
			m.named = "unasserted"
		}
	}
	return m.register
}

func (m *monitor) RegisterDone(msg *dialogs.Message) {
	if !m.quiet {
		m.note("REGISTER done %d", msg.Status)
	}
}

func (m *monitor) Notify(msg *dialogs.Message) (dialogs.Ref, dialogs.Ruling) {
	if m.quiet {
		return 1, m.notify
	}
	m.mu.Lock()
	again := m.answered[msg.Transaction]
	m.mu.Unlock()
	if again {
		return 0, dialogs.Ruling{Again: true}
	}
	if msg.IdentityDiffers {
		m.note("identity differs")
	}
	m.note("NOTIFY %s", msg.CallID)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refs++
	if m.open == nil {
		m.open, m.answered = map[dialogs.Ref]uint64{}, map[uint64]bool{}
	}
	m.open[m.refs] = msg.Transaction
	return m.refs, m.notify
}

func (m *monitor) NotifyDone(ref dialogs.Ref, o dialogs.Outcome) dialogs.Verdict {
	if m.quiet {
		return dialogs.Verdict{Relay: true}
	}
	if o.Kind == dialogs.Responded && o.Status < 300 {
		m.mu.Lock()
		m.answered[m.open[ref]] = true
		m.mu.Unlock()
	}
	kind := [...]string{"responded", "timeout", "unreachable"}[o.Kind]
	m.note("NOTIFY %s %d late=%t", kind, o.Status, o.Late)
	m.outcomes = append(m.outcomes, o)
	if m.verdict == nil {
		return dialogs.Verdict{Relay: true}
	}
	return m.verdict(o)
}

func (m *monitor) Waits() bool { return m.waits }

// Safe keeps the function for the test to call.
func (m *monitor) Safe(then func()) { m.safe = then }

func (m *monitor) Heard(msg *dialogs.Message) { m.note("heard %s", msg.CallID) }

// told gives what the Monitor was told since the last call.
func (m *monitor) told() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := strings.Join(m.seen, "; ")
	m.seen = nil
	return s
}

// gone is the verdict of REWATCH_ANSWER=481.
func gone(o dialogs.Outcome) dialogs.Verdict {
	if o.Kind == dialogs.Responded && o.Status < 300 {
		return dialogs.Verdict{}
	}
	return dialogs.Verdict{Status: 481, Reason: "Subscription Does Not Exist"}
}

// resolver is a scripted Resolver.
type resolver struct {
	known   map[string][]resolve.Hop
	waiting map[string][]func([]resolve.Hop, error)
}

func (n *resolver) Lookup(t resolve.Target) ([]resolve.Hop, bool) {
	h, ok := n.known[t.Host]
	return h, ok
}

func (n *resolver) Await(t resolve.Target, _ uint64, done func([]resolve.Hop, error)) {
	if n.waiting == nil {
		n.waiting = map[string][]func([]resolve.Hop, error){}
	}
	n.waiting[t.Host] = append(n.waiting[t.Host], done)
}

// set makes a name known; learn also tells who waits for it.
func (n *resolver) set(name string, addrs ...string) {
	if n.known == nil {
		n.known = map[string][]resolve.Hop{}
	}
	n.known[name] = nil
	for _, a := range addrs {
		transport, addr, ok := strings.Cut(a, "/")
		if !ok {
			transport, addr = "udp", a
		}
		over, _ := wire.ParseTransport([]byte(transport))
		n.known[name] = append(n.known[name], resolve.Hop{Transport: over, Addr: netip.MustParseAddrPort(addr)})
	}
}

func (n *resolver) learn(name string, err error, addrs ...string) {
	if err == nil {
		n.set(name, addrs...)
	}
	list := n.waiting[name]
	delete(n.waiting, name)
	for _, done := range list {
		done(n.known[name], err)
	}
}

// connection is the end of a TCP connection of a neighbour's.
type connection struct {
	r    *rig
	conn net.Conn
	in   chan string
	gone chan struct{}
}

// dial opens a connection to one of our listeners.
func (r *rig) dial(from, to string) *connection {
	c, err := r.net.Dial(context.Background(), netip.MustParseAddr(from), netip.MustParseAddrPort(to))
	if err != nil {
		r.Fatal(err)
	}
	return r.connection(c)
}

func (r *rig) connection(c net.Conn) *connection {
	x := &connection{r: r, conn: c, in: make(chan string, 1000), gone: make(chan struct{})}
	go x.read()
	return x
}

func (x *connection) read() {
	defer close(x.gone)
	var have []byte
	b := make([]byte, 65536)
	for {
		n, err := x.conn.Read(b)
		if err != nil {
			return
		}
		for have = append(have, b[:n]...); ; {
			skip, n, err := wire.FrameFrom(have, 0)
			if err != nil || n == 0 || skip+n > len(have) {
				break
			}
			x.in <- string(have[skip : skip+n])
			have = have[skip+n:]
		}
	}
}

func (x *connection) send(msg string) {
	_, _ = x.conn.Write([]byte(crlf(msg)))
	synctest.Wait()
}

func (x *connection) poll() string {
	synctest.Wait()
	select {
	case s := <-x.in:
		return s
	default:
		return ""
	}
}

func (x *connection) want(start string) string {
	x.r.Helper()
	got := x.poll()
	if !strings.HasPrefix(got, start) {
		x.r.Fatalf("want %s, got %q", start, got)
	}
	return got
}

func (x *connection) nothing() {
	x.r.Helper()
	if got := x.poll(); got != "" {
		x.r.Fatalf("unexpected: %q", got)
	}
}

// listen makes a neighbour accept connections; the next one is given by accept.
func (r *rig) listen(addr string) func() *connection {
	l := r.net.Listen(addr)
	conns := make(chan net.Conn, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	r.Cleanup(func() {})
	r.closers(l)
	return func() *connection {
		r.Helper()
		synctest.Wait()
		select {
		case c := <-conns:
			return r.connection(c)
		default:
			r.Fatal("no connection came")
			return nil
		}
	}
}

func (r *rig) closers(l net.Listener) {
	shutdown := r.s.cancel
	r.s.cancel = func() { _ = l.Close(); shutdown() }
}

// request writes a request with the usual fields; extra lines go behind the Via.
func request(method, uri, via string, extra ...string) string {
	m := method + " " + uri + " SIP/2.0\nVia: " + via + "\n"
	for _, l := range extra {
		m += l + "\n"
	}
	to := "<sip:bob@ims.example>"
	if method == "NOTIFY" {
		to += ";tag=watcher"
	}
	has := func(name string) bool { return strings.Contains(m, "\n"+name+":") }
	for _, l := range []string{"Max-Forwards: 70", "From: <sip:alice@ims.example>;tag=a", "To: " + to, "Call-ID: c1", "CSeq: 1 " + method} {
		if name, _, _ := strings.Cut(l, ":"); !has(name) {
			m += l + "\n"
		}
	}
	return m + "Content-Length: 0\n"
}

const (
	viaCore   = "SIP/2.0/UDP " + coreAddr + ";branch=z9hG4bKcore1"
	viaServer = "SIP/2.0/UDP " + serverAddr + ";branch=z9hG4bKserver1"
)

// notify is an in-dialog NOTIFY of the server's.
func notify(extra ...string) string {
	return request("NOTIFY", "sip:watcher@10.0.0.9", viaServer, append([]string{"Route: <sip:" + serverSide + ";lr;rw>, <sip:" + coreSide + ";lr;rw>, <sip:" + coreAddr + ";lr>"}, extra...)...)
}
