package proxy

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"rewatch/cmd/rewatch/budget/budgettest"
	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/socket"
	"rewatch/proxy/transaction"
)

// sink is a datagram socket that takes everything and says nothing, so that what
// is measured is the path and not a socket.
type sink struct {
	addr *net.UDPAddr
	last []byte
	done chan struct{}
}

func newSink(addr string) *sink {
	return &sink{addr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)), last: make([]byte, 0, 65536), done: make(chan struct{})}
}

func (s *sink) ReadFrom([]byte) (int, net.Addr, error) {
	<-s.done
	return 0, nil, net.ErrClosed
}

func (s *sink) WriteTo(b []byte, _ net.Addr) (int, error) {
	return s.WriteToUDPAddrPort(b, netip.AddrPort{})
}

func (s *sink) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	<-s.done
	return 0, netip.AddrPort{}, net.ErrClosed
}

func (s *sink) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	s.last = append(s.last[:0], b...)
	return len(b), nil
}
func (s *sink) Close() error                     { close(s.done); return nil }
func (s *sink) LocalAddr() net.Addr              { return s.addr }
func (s *sink) SetDeadline(time.Time) error      { return nil }
func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

// path is a Server without its goroutines: the test is the reader of both sockets.
type path struct {
	s            *Server
	w            *worker
	core, server flow
	toCore       *sink
	toServer     *sink
	n            uint64
	msg, ok      []byte
}

func newPath(tb testing.TB, msg string) *path {
	tb.Helper()
	p := &path{toCore: newSink(coreSide), toServer: newSink(serverSide)}
	s, err := New(Config{
		Listeners: []socket.Listener{
			{Side: dialogs.Core, Network: "udp", Packet: p.toCore},
			{Side: dialogs.Server, Network: "udp", Packet: p.toServer},
		},
		Server: "sip:" + serverAddr, Core: []string{"sip:" + coreAddr},
		Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Monitor: &monitor{quiet: true}, Resolver: &resolver{}, NotifyTimeout: 28 * time.Second, MaxTransactions: 200_000,
	})
	if err != nil {
		tb.Fatal(err)
	}
	p.s, p.w = s, s.newWorker()
	p.core = flow{socket: s.sockets.All[0], addr: netip.MustParseAddrPort(coreAddr)}
	p.server = flow{socket: s.sockets.All[1], addr: netip.MustParseAddrPort(serverAddr)}
	p.msg = []byte(crlf(msg))
	return p
}

var cookie = []byte("z9hG4bK")

// count writes n into digits, without allocating.
func count(digits []byte, n uint64) {
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = '0' + byte(n%10)
		n /= 10
	}
}

// fresh gives the message another branch, of the same length.
func (p *path) fresh() []byte {
	p.n++
	i := bytes.Index(p.msg, cookie) + 7
	count(p.msg[i:i+16], p.n)
	return p.msg
}

// answer makes the response to what left last, once; later ones get its branch.
func (p *path) answer(sent []byte) []byte {
	if p.ok == nil {
		p.ok = []byte(crlf(reply(string(sent), "200 OK")))
	}
	from := bytes.Index(sent, draft.BranchStart)
	to := bytes.Index(p.ok, draft.BranchStart)
	length := len(draft.BranchStart) + 26
	copy(p.ok[to:to+length], sent[from:from+length])
	hop := bytes.Index(p.ok[to+length:], cookie) + to + length + 7
	i := bytes.Index(p.msg, cookie) + 7
	copy(p.ok[hop:hop+16], p.msg[i:i+16])
	return p.ok
}

// pass takes a request and its response through, and time on.
func (p *path) pass(tb testing.TB, request, response flow, out, back *sink) {
	p.w.clock()
	p.w.message(request, p.fresh())
	p.w.out.Flush()
	if len(out.last) == 0 {
		tb.Fatal("nothing left")
	}
	p.w.message(response, p.answer(out.last))
	p.w.out.Flush()
	if len(back.last) == 0 || string(back.last[:11]) != "SIP/2.0 200" {
		tb.Fatal("no response came through")
	}
	out.last, back.last = out.last[:0], back.last[:0]
}

// turn lets time pass, as far as the transactions know.
func (p *path) turn(d time.Duration) {
	p.s.epoch = p.s.epoch.Add(-d)
	p.w.clock()
	p.w.expire()
}

// realNotify has the size and the fields of one of a presence server's.
func realNotify() string {
	body := strings.Repeat("<presence entity=\"sip:bob@ims.example\"/>\n", 11)
	return "NOTIFY sip:alice@10.0.0.9:5060;transport=udp;ob SIP/2.0\n" +
		"Via: SIP/2.0/UDP " + serverAddr + ";branch=z9hG4bK0000000000000000\n" +
		"Route: <sip:" + serverSide + ";lr;rw>, <sip:" + coreSide + ";lr;rw>\nRoute: <sip:" + coreAddr + ";lr>\n" +
		"Max-Forwards: 70\nTo: <sip:alice@ims.example>;tag=b1946ac92492d2347\nFrom: <sip:bob@ims.example>;tag=10c1ffcb23d7\n" +
		"Call-ID: 3848276298220188511@10.1.0.2\nCSeq: 17 NOTIFY\nUser-Agent: presence\nContact: <sip:" + serverAddr + ">\n" +
		"Event: presence\nSubscription-State: active;expires=3599\nContent-Type: application/pidf+xml\n" +
		fmt.Sprintf("Content-Length: %d\n\n%s", len(body), body)
}

func realPublish() string {
	return "MESSAGE sip:bob@ims.example SIP/2.0\nVia: SIP/2.0/UDP " + coreAddr + ";branch=z9hG4bK0000000000000000\n" +
		"Route: <sip:" + coreSide + ";lr>\nMax-Forwards: 70\nFrom: <sip:alice@ims.example>;tag=a\nTo: <sip:bob@ims.example>\n" +
		"Call-ID: 3848276298220188511@10.1.0.2\nCSeq: 17 MESSAGE\nContent-Length: 2\n\nhi"
}

// realRefresh and realRegister are the other two requests that the Monitor is asked about.
func realRefresh() string {
	return "SUBSCRIBE sip:" + serverAddr + " SIP/2.0\nVia: SIP/2.0/UDP " + coreAddr + ";branch=z9hG4bK0000000000000000\n" +
		"Route: <sip:" + coreSide + ";lr;rw>, <sip:" + serverSide + ";lr;rw>\nMax-Forwards: 68\n" +
		"From: <sip:alice@ims.example>;tag=a\nTo: <sip:bob@ims.example>;tag=b\nP-Asserted-Identity: <tel:+15551234>\n" +
		"P-Asserted-Identity: <sip:alice@ims.example>\n" +
		"Call-ID: 3848276298220188511@10.1.0.2\nCSeq: 17 SUBSCRIBE\nContact: <sip:alice@10.0.0.9:5060;ob>\nEvent: presence\nExpires: 600\n" +
		"Content-Length: 0\n\n"
}

func realRegister() string {
	return "REGISTER sip:ims.example SIP/2.0\nVia: SIP/2.0/UDP " + coreAddr + ";branch=z9hG4bK0000000000000000\n" +
		"Route: <sip:" + coreSide + ";lr>\nMax-Forwards: 70\nFrom: <sip:scscf.ims.example>;tag=a\nTo: <sip:alice@ims.example>\n" +
		"Call-ID: 3848276298220188511@10.1.0.2\nCSeq: 17 REGISTER\nContact: <sip:scscf.ims.example:6060>\nExpires: 3600\nContent-Length: 0\n\n"
}

// TestNoAllocations is the promise of dialogs/DESIGN.md ("Forwarding allocates nothing"): in the steady state a message costs
// no allocation, records, wheel and Monitor included (for whose own part see package
// dialogs).
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	t.Run("NOTIFY", func(t *testing.T) {
		p := newPath(t, realNotify())
		step := func() {
			p.pass(t, p.server, p.core, p.toCore, p.toServer)
			p.turn(100 * time.Millisecond)
		}
		for range 100 {
			step()
		}
		if n := testing.AllocsPerRun(2000, step); n != 0 {
			t.Error(n, "allocations")
		}
		if n := p.s.table.Len(); n != 0 {
			t.Error(n, "records")
		}
	})
	for name, msg := range map[string]string{"MESSAGE": realPublish(), "SUBSCRIBE": realRefresh(), "REGISTER": realRegister()} {
		t.Run(name, func(t *testing.T) {
			p := newPath(t, msg)
			step := func() { p.pass(t, p.core, p.server, p.toServer, p.toCore) }
			step()
			if n := testing.AllocsPerRun(2000, step); n != 0 {
				t.Error(n, "allocations")
			}
			if n := p.s.table.Len(); n != 0 {
				t.Error(n, "records")
			}
		})
	}
}

// BenchmarkNotify is one in-dialog NOTIFY and its 200, without the sockets.
func BenchmarkNotify(b *testing.B) {
	p := newPath(b, realNotify())
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p.pass(b, p.server, p.core, p.toCore, p.toServer)
		if i++; i%100 == 0 {
			p.turn(transaction.Tick)
		}
	}
}

// BenchmarkStateless is a request without a record and its response.
func BenchmarkStateless(b *testing.B) {
	p := newPath(b, realPublish())
	b.ReportAllocs()
	for b.Loop() {
		p.pass(b, p.core, p.server, p.toServer, p.toCore)
	}
}

// open lets n NOTIFYs through that nobody answers, and tells what the heap has of each.
func (p *path) open(tb testing.TB, n int) float64 {
	before := budgettest.Heap()
	for range n {
		p.w.clock()
		p.w.message(p.server, p.fresh())
		p.w.out.Flush()
	}
	if open := p.s.table.Len(); open != n {
		tb.Fatal(open, "records")
	}
	each := float64(budgettest.Heap()-before) / float64(n)
	runtime.KeepAlive(p)
	return each
}

// TestOpenIsSmall is the promise that a storm of NOTIFYs without answers is cheap to
// remember: 600 bytes each, with all that an answer to the server needs.
func TestOpenIsSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has an account of its own")
	}
	if each := newPath(t, realNotify()).open(t, 50000); each > 600 {
		t.Errorf("%.0f bytes", each)
	}
}

// BenchmarkOpen tells the same of as many as there may be.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(newPath(b, realNotify()).open(b, 190000), "B/open")
	}
}
