package datagram

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"
)

// hidden keeps the system's socket from being recognised, so that the portable way
// is taken here as well.
type hidden struct{ net.PacketConn }

// open makes a socket; the test closes it.
func open(t *testing.T, network, addr string, portable bool) *Packet {
	t.Helper()
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(t.Context(), network, addr)
	if err != nil {
		t.Skip("no such address here: ", err)
	}
	if portable {
		_ = conn.(*net.UDPConn).SetReadBuffer(SocketBuffer) //nolint:forcetypeassert // it is
		conn = hidden{conn}
	}
	p, err := NewPacket(conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// receive reads until it has so many datagrams, each copied.
func receive(t *testing.T, p *Packet, n int) (got [][]byte, from []netip.AddrPort) {
	t.Helper()
	in := NewInbox()
	err := p.Serve(in, func() bool {
		for i := range in.Len() {
			b, a := in.Datagram(i)
			got, from = append(got, bytes.Clone(b)), append(from, a)
		}
		return len(got) < n
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, from
}

func send(t *testing.T, p *Packet, o *Outbox) {
	t.Helper()
	if failed, err := p.Send(o); failed != 0 || err != nil {
		t.Fatal(failed, err)
	}
	if o.Len() != 0 {
		t.Fatal("the outbox is not empty")
	}
}

// pairs are the sockets that are tried with each other.
var pairs = []struct{ name, network, addr, otherNetwork, other string }{
	{"IPv4", "udp4", "127.0.0.1:0", "udp4", "127.0.0.2:0"},
	{"IPv6", "udp6", "[::1]:0", "udp6", "[::1]:0"},
	{"dual stack to IPv4", "udp", "[::]:0", "udp4", "127.0.0.1:0"},
}

// TestBatches sends more than a batch at once, both ways, with datagrams of all
// sizes among them.
func TestBatches(t *testing.T) {
	for _, portable := range []bool{false, true} {
		for _, c := range pairs {
			t.Run(fmt.Sprintf("%s, portable %t", c.name, portable), func(t *testing.T) {
				a, b := open(t, c.network, c.addr, portable), open(t, c.otherNetwork, c.other, portable)
				to := b.Local()
				o := NewOutbox()
				const count = 3*BatchSize + 5
				sizes := []int{1, 1300, 60000, 3000, 9000, 2}
				for i := range count {
					size := 10
					if i%20 == 0 {
						size = sizes[i/20]
					}
					o.Add(bytes.Repeat([]byte{byte(i)}, size), to)
				}
				send(t, a, o)
				got, from := receive(t, b, count)
				for i, g := range got {
					if g[0] != byte(i) || (i%20 == 0 && len(g) != sizes[i/20]) {
						t.Fatal("datagram ", i, ": ", len(g), " bytes of ", g[0])
					}
				}
				// Back to where they seem to come from, with the largest that UDP can.
				o.Add(bytes.Repeat([]byte{'b'}, 65507), from[0])
				send(t, b, o)
				got, from = receive(t, a, 1)
				if len(got[0]) != 65507 || from[0] != to {
					t.Error(len(got[0]), from[0], to)
				}
			})
		}
	}
}

// TestOtherFamily does not send to somewhere else what a socket cannot send.
func TestOtherFamily(t *testing.T) {
	for _, portable := range []bool{false, true} {
		p := open(t, "udp4", "127.0.0.1:0", portable)
		o := NewOutbox()
		o.Add([]byte("lost"), netip.AddrPortFrom(netip.IPv6Loopback(), p.Local().Port()))
		o.Add([]byte("kept"), p.Local())
		if failed, err := p.Send(o); failed != 1 || err == nil {
			t.Error(failed, err)
		}
		if got, _ := receive(t, p, 1); string(got[0]) != "kept" {
			t.Error(string(got[0]))
		}
	}
}

// TestTooLarge passes over a datagram that cannot be sent, and sends the others.
func TestTooLarge(t *testing.T) {
	a, b := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
	o := NewOutbox()
	o.Add([]byte("one"), b.Local())
	o.Add(make([]byte, 65536), b.Local())
	o.Add([]byte("two"), b.Local())
	if failed, err := a.Send(o); failed != 1 || err == nil {
		t.Error(failed, err)
	}
	got, _ := receive(t, b, 2)
	if string(got[0]) != "one" || string(got[1]) != "two" {
		t.Errorf("%q", got)
	}
}

// TestClose ends a blocked Receive, and what is sent later fails.
func TestClose(t *testing.T) {
	for _, portable := range []bool{false, true} {
		p := open(t, "udp4", "127.0.0.1:0", portable)
		done := make(chan error)
		go func() { done <- p.Serve(NewInbox(), func() bool { return true }) }()
		_ = p.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		o := NewOutbox()
		o.Add([]byte("x"), netip.MustParseAddrPort("127.0.0.1:9"))
		if failed, err := p.Send(o); failed != 1 || !errors.Is(err, net.ErrClosed) {
			t.Error(failed, err)
		}
	}
}

// TestUnreachable is told of a port where nobody listens, with the beginning of
// what was sent there, and datagrams to others go on.
func TestUnreachable(t *testing.T) {
	for _, c := range pairs {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t, c.network, c.addr, false), open(t, c.otherNetwork, c.other, false)
			dead := open(t, c.otherNetwork, c.other, false)
			nobody := dead.Local()
			_ = dead.Close()
			var mu sync.Mutex
			told := map[string]netip.AddrPort{}
			all := make(chan struct{}, 100)
			a.OnRefused = func(to netip.AddrPort, payload []byte, _ error) {
				mu.Lock()
				told[string(payload)] = to
				mu.Unlock()
				all <- struct{}{}
			}
			var reader sync.WaitGroup
			reader.Go(func() { _ = a.Serve(NewInbox(), func() bool { return true }) })
			o := NewOutbox()
			o.Add([]byte("one"), nobody)
			o.Add([]byte("to b"), b.Local())
			send(t, a, o)
			o.Add([]byte("two"), nobody)
			o.Add([]byte("to b"), b.Local())
			send(t, a, o)
			receive(t, b, 2)
			for range 2 {
				select {
				case <-all:
				case <-time.After(5 * time.Second):
					if runtime.GOOS == "linux" {
						t.Fatal("not told")
					}
					t.Skip("only Linux tells")
				}
			}
			_ = a.Close()
			reader.Wait()
			if told["one"] != nobody || told["two"] != nobody || len(told) != 2 {
				t.Error(told, nobody)
			}
		})
	}
}

// TestNoAllocation holds for a datagram there and back.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
	o, in := NewOutbox(), NewInbox()
	msg, to := make([]byte, 1000), b.Local()
	missing := 0
	read := func() bool { missing -= in.Len(); return missing > 0 }
	n := testing.AllocsPerRun(100, func() {
		for range 5 {
			o.Add(msg, to)
		}
		_, _ = a.Send(o)
		missing = 5
		_ = b.Serve(in, read)
	})
	if n != 0 {
		t.Error(n, "allocations")
	}
}

// BenchmarkBatch sends and receives a full batch over loopback.
func BenchmarkBatch(b *testing.B) {
	for _, portable := range []bool{false, true} {
		b.Run(fmt.Sprintf("portable=%t", portable), func(b *testing.B) {
			var lc net.ListenConfig
			conn, err := lc.ListenPacket(b.Context(), "udp4", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if portable {
				conn = hidden{conn}
			}
			p, err := NewPacket(conn)
			if err != nil {
				b.Fatal(err)
			}
			o, in, msg := NewOutbox(), NewInbox(), make([]byte, 1000)
			missing := 0
			read := func() bool { missing -= in.Len(); return missing > 0 }
			b.ReportAllocs()
			for b.Loop() {
				for range BatchSize {
					o.Add(msg, p.Local())
				}
				_, _ = p.Send(o)
				missing = BatchSize
				_ = p.Serve(in, read)
			}
		})
	}
}

// TestDrops counts what the kernel throws away, and no more.
func TestDrops(t *testing.T) {
	a, b := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.2:0", false)
	receiveSize, sendSize, ok := b.Buffers()
	if !ok {
		t.Skip("this system does not tell")
	}
	if receiveSize <= 0 || sendSize <= 0 {
		t.Errorf("buffers of %d and %d bytes", receiveSize, sendSize)
	}
	if n := b.Drops(); n != 0 {
		t.Fatalf("%d were dropped before any was sent", n)
	}
	o, sent := NewOutbox(), 0
	for range 2 * receiveSize / 1000 {
		for range BatchSize {
			o.Add(make([]byte, 1000), b.Local())
			sent++
		}
		send(t, a, o)
		if b.Drops() > 0 {
			break
		}
	}
	dropped := int(b.Drops()) //nolint:gosec // few
	if dropped == 0 || dropped > sent {
		t.Fatalf("%d of %d were dropped", dropped, sent)
	}
	receive(t, b, sent-dropped)
	if again := int(b.Drops()); again != dropped { //nolint:gosec // few
		t.Errorf("%d were dropped, then %d", dropped, again)
	}
	_ = b.Close()
	if last := int(b.Drops()); last != dropped { //nolint:gosec // few
		t.Errorf("%d after the socket was closed, %d before", last, dropped)
	}
}
