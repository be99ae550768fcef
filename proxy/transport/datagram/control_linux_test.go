package datagram

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// TestAnswerFromWhereItCame: a socket that is bound to all addresses tells to which one
// each datagram came, and answers from there, alone and in one piece with others.
func TestAnswerFromWhereItCame(t *testing.T) {
	for _, c := range []struct {
		network, all, peer string
		addrs              []string
	}{
		{"udp4", "0.0.0.0:0", "127.0.0.1:0", []string{"127.0.0.7", "127.0.0.8", "127.0.0.1"}},
		{"udp", "[::]:0", "127.0.0.1:0", []string{"127.0.0.7", "127.0.0.8"}},
		{"udp6", "[::]:0", "[::1]:0", []string{"::1"}},
	} {
		for _, count := range []int{1, BatchSize} {
			t.Run(fmt.Sprint(c.network, " ", c.peer, " ", count), func(t *testing.T) {
				a, b := open(t, c.network, c.all, false), open(t, "udp", c.peer, false)
				for _, addr := range c.addrs {
					at := netip.MustParseAddr(addr)
					o := NewOutbox()
					for i := range count {
						o.Add(bytes.Repeat([]byte{byte(i)}, 100), netip.AddrPortFrom(at, a.Local().Port()))
					}
					send(t, b, o)
					back := NewOutbox()
					in := NewInbox()
					if err := a.Serve(in, func() bool {
						for i := range in.Len() {
							d, from := in.Datagram(i)
							if in.At(i) != at {
								t.Errorf("came to %s, not %s", in.At(i), at)
							}
							back.Commit(append(back.Begin(), d...), in.At(i), from)
						}
						return back.Len() < count
					}); err != nil {
						t.Fatal(err)
					}
					send(t, a, back)
					_, from := receive(t, b, count)
					for _, f := range from {
						if f.Addr() != at || f.Port() != a.Local().Port() {
							t.Fatalf("answered from %s", f)
						}
					}
				}
			})
		}
	}
}

// TestOneAddressAsksNothing: a socket that is bound to one address has it anyway.
func TestOneAddressAsksNothing(t *testing.T) {
	a, b := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "0.0.0.0:0", false)
	in := NewInbox()
	read := func(p, other *Packet, to netip.Addr) netip.Addr {
		o := NewOutbox()
		o.Add([]byte("x"), netip.AddrPortFrom(to, p.Local().Port()))
		send(t, other, o)
		if err := p.Serve(in, func() bool { return false }); err != nil {
			t.Fatal(err)
		}
		return in.At(0)
	}
	here := netip.MustParseAddr("127.0.0.1")
	for range 2 { // the same inbox serves both
		if at := read(a, b, here); at.IsValid() {
			t.Error(at)
		}
		if at := read(b, a, here); at != here {
			t.Error(at)
		}
	}
}

// TestNotOurAddress: a datagram that is to leave from an address that is not there is
// refused by itself.
func TestNotOurAddress(t *testing.T) {
	a, b := open(t, "udp4", "0.0.0.0:0", false), open(t, "udp4", "127.0.0.1:0", false)
	o := NewOutbox()
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), b.Local().Port())
	o.Commit(append(o.Begin(), "lost"...), netip.MustParseAddr("192.0.2.77"), to)
	o.Add([]byte("kept"), to)
	if failed, err := a.Send(o); failed != 1 || err == nil {
		t.Error(failed, err)
	}
	if got, _ := receive(t, b, 1); string(got[0]) != "kept" {
		t.Errorf("%q", got)
	}
}

// BenchmarkAnswer is a datagram and its answer, over a socket that is bound to one address
// and over one that is bound to all.
func BenchmarkAnswer(b *testing.B) {
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		for _, count := range []int{1, BatchSize} {
			b.Run(fmt.Sprint(addr, " ", count), func(b *testing.B) { benchmarkAnswer(b, addr, count) })
		}
	}
}

func benchmarkAnswer(b *testing.B, addr string, count int) {
	listen := func(network, addr string) *Packet {
		conn, err := net.ListenPacket(network, addr) //nolint:noctx // a test
		if err != nil {
			b.Skip("no such address here: ", err)
		}
		p, err := NewPacket(conn)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = p.Close() })
		return p
	}
	network := "udp4"
	if addr[0] == '[' {
		network = "udp"
	}
	here, peer := listen(network, addr), listen("udp4", "127.0.0.1:0")
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), here.Local().Port())
	there, back, in := NewOutbox(), NewOutbox(), NewInbox()
	payload := make([]byte, 800)
	var read func(uintptr)
	take := func(p *Packet) { // what loopback has delivered is there already
		for n := 0; n < count; n += in.Len() {
			if err := p.raw.Control(read); err != nil {
				b.Fatal(err)
			}
		}
	}
	readHere := func(fd uintptr) { _ = in.recvmmsg(fd, here.every) }
	readPeer := func(fd uintptr) { _ = in.recvmmsg(fd, peer.every) }
	b.ReportAllocs()
	began := processorTime(b)
	for b.Loop() {
		for range count {
			there.Add(payload, to)
		}
		_, _ = peer.Send(there)
		read = readHere
		take(here)
		for i := range in.Len() {
			d, from := in.Datagram(i)
			back.Commit(append(back.Begin(), d...), in.At(i), from)
		}
		_, _ = here.Send(back)
		read = readPeer
		take(peer)
	}
	b.ReportMetric(float64(processorTime(b)-began)/float64(b.N*count), "cpu-ns/datagram")
}

// processorTime is what the process has used, whatever else the machine does.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
