//go:build linux

package datagram

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// served is a poller that runs, with an echo on all its sockets.
type served struct {
	*Poller
	held chan bool
	done chan error
	// got counts the datagrams of each socket.
	mu  sync.Mutex
	got []int
}

// serve makes a poller and lets it run until the test ends; it sends back what comes.
func serve(t testing.TB, packets ...*Packet) *served {
	t.Helper()
	l, err := NewPoller(packets)
	if err != nil {
		t.Fatal(err)
	}
	s := &served{Poller: l, held: make(chan bool, 1000), done: make(chan error, 1000), got: make([]int, len(packets))}
	l.Held = func(held bool) { s.held <- held }
	in, out := NewInbox(), NewOutbox()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for err := error(nil); !errors.Is(err, net.ErrClosed); {
			err = l.Serve(in, func(i int) {
				for j := range in.Len() {
					b, from := in.Datagram(j)
					out.Add(b, from)
				}
				s.mu.Lock()
				s.got[i] += in.Len()
				s.mu.Unlock()
				_, _ = packets[i].Send(out)
			})
			select {
			case s.done <- err:
			default: // the same, again and again
			}
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-gone
		for _, p := range packets {
			_ = p.Close()
		}
	})
	return s
}

// rally sends datagrams to and fro until the poller, which is not held, is.
func (s *served) rally(t testing.TB, by *Packet, to netip.AddrPort) {
	t.Helper()
	o, in := NewOutbox(), NewInbox()
	for range 100_000 {
		o.Add([]byte("ping"), to)
		if failed, err := by.Send(o); failed != 0 {
			t.Fatal(err)
		}
		if err := by.Serve(in, func() bool { return false }); err != nil {
			t.Fatal(err)
		}
		select {
		case held := <-s.held:
			if held {
				return
			}
		default:
		}
	}
	t.Fatal("the poller is not held")
}

// waitFor waits for what the poller tells.
func waitFor[T comparable](t testing.TB, c <-chan T, want T) {
	t.Helper()
	for {
		select {
		case got := <-c:
			if got == want {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no %v", want)
		}
	}
}

// TestPoller reads two sockets, one by one, in bursts of more than a batch, parked and
// held and parked again.
func TestPoller(t *testing.T) {
	for _, c := range pairs {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t, c.network, c.addr, false), open(t, c.network, c.addr, false)
			peer := open(t, c.otherNetwork, c.other, false)
			s := serve(t, a, b)
			at := []netip.AddrPort{a.Local(), b.Local()}
			for i := range at {
				if at[i].Addr().IsUnspecified() {
					at[i] = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at[i].Port())
				}
			}
			total := []int{0, 0}
			burst := func() {
				const count = 3*BatchSize + 5
				for i, to := range at {
					o := NewOutbox()
					for j := range count {
						o.Add(fmt.Appendf(nil, "%d %d", i, j), to)
					}
					send(t, peer, o)
					got, from := receive(t, peer, count)
					for j, g := range got {
						if want := fmt.Sprintf("%d %d", i, j); string(g) != want || from[j] != to {
							t.Fatalf("%s from %s, want %s from %s", g, from[j], want, to)
						}
					}
					total[i] += count
				}
			}
			burst()
			s.rally(t, peer, at[1])
			burst()
			waitFor(t, s.held, false)
			burst()
			s.rally(t, peer, at[0])
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.got[0] < total[0] || s.got[1] < total[1] {
				t.Error(s.got, total)
			}
		})
	}
}

// TestPollerIsFair reads the other socket between two batches of one that is full.
func TestPollerIsFair(t *testing.T) {
	a, b := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
	peer := open(t, "udp4", "127.0.0.1:0", false)
	l, err := NewPoller([]*Packet{a, b})
	if err != nil {
		t.Fatal(err)
	}
	o := NewOutbox()
	const full = 20 * BatchSize
	for range full {
		o.Add([]byte("a"), a.Local())
	}
	o.Add([]byte("b"), b.Local())
	send(t, peer, o)
	var order []int
	in := NewInbox()
	err = l.Serve(in, func(i int) {
		for range in.Len() {
			order = append(order, i)
		}
		if len(order) == full+1 {
			l.Close()
		}
	})
	if !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if at := slices.Index(order, 1); at < 0 || at > 2*BatchSize {
		t.Error("the other socket had its turn after", at)
	}
}

// TestPollerClose ends a poller in every state, by itself and with one of its sockets, and
// leaves no descriptor behind.
func TestPollerClose(t *testing.T) {
	for _, held := range []bool{false, true} {
		for _, bySocket := range []bool{false, true} {
			t.Run(fmt.Sprintf("held %t, by its socket %t", held, bySocket), func(t *testing.T) {
				before := descriptors(t)
				a, b := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
				peer := open(t, "udp4", "127.0.0.1:0", false)
				s := serve(t, a, b)
				if held {
					s.rally(t, peer, a.Local())
				}
				if bySocket {
					_ = b.Close()
				} else {
					s.Close()
				}
				if err := <-s.done; !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				if held {
					waitFor(t, s.held, false)
				}
				if err := s.Serve(NewInbox(), nil); !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				o := NewOutbox()
				o.Add([]byte("still"), peer.Local())
				send(t, a, o)
				o.Add([]byte("not"), peer.Local())
				if failed, err := b.Send(o); bySocket && (failed != 1 || !errors.Is(err, net.ErrClosed)) {
					t.Error(failed, err)
				}
				for _, p := range []*Packet{a, b, peer} {
					_ = p.Close()
				}
				if after := descriptors(t); after != before {
					t.Error(after, "descriptors; there were", before)
				}
			})
		}
	}
	t.Run("never served", func(t *testing.T) {
		before := descriptors(t)
		a := open(t, "udp4", "127.0.0.1:0", false)
		if _, err := NewPoller([]*Packet{a}); err != nil {
			t.Fatal(err)
		}
		_ = a.Close()
		if after := descriptors(t); after != before {
			t.Error(after, "descriptors; there were", before)
		}
	})
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestPollerUnreachable tells of ICMP errors.
func TestPollerUnreachable(t *testing.T) {
	a, dead := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
	peer := open(t, "udp4", "127.0.0.1:0", false)
	nobody := dead.Local()
	_ = dead.Close()
	told := make(chan string, 10)
	a.OnRefused = func(to netip.AddrPort, payload []byte, _ error) { told <- to.String() + " " + string(payload) }
	s := serve(t, a)
	for _, what := range []string{"parked", "held"} {
		if what == "held" {
			s.rally(t, peer, a.Local())
		}
		o := NewOutbox()
		o.Add([]byte(what), nobody)
		send(t, a, o)
		waitFor(t, told, nobody.String()+" "+what)
	}
	waitFor(t, s.held, false) // it is not kept awake
}

// TestPollerYields lets the collector and others run while it is held.
func TestPollerYields(t *testing.T) {
	a, peer := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	s := serve(t, a)
	for range 5 {
		s.rally(t, peer, a.Local())
		runtime.GC()
		waitFor(t, s.held, false)
	}
}

// TestPollerGoesOn after an error of a socket, whatever it was doing then.
func TestPollerGoesOn(t *testing.T) {
	for _, held := range []bool{false, true} {
		a, peer := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
		s := serve(t, a)
		if held {
			s.rally(t, peer, a.Local())
		}
		var fd, socket int
		_ = a.raw.Control(func(f uintptr) { fd = int(f) })
		socket, err := unix.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		other, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Dup3(int(other.Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		o := NewOutbox()
		o.Add([]byte("survives"), a.Local())
		send(t, peer, o)
		if err := <-s.done; !errors.Is(err, syscall.ENOTSOCK) {
			t.Error(err)
		}
		if err := unix.Dup3(socket, fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		if got, _ := receive(t, peer, 1); string(got[0]) != "survives" {
			t.Errorf("%q", got)
		}
		_, _ = unix.Close(socket), other.Close()
	}
}

// TestPollerNotSupported leaves what is no socket of the system as it was.
func TestPollerNotSupported(t *testing.T) {
	a, other := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", true)
	if _, err := NewPoller([]*Packet{a, other}); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
	o := NewOutbox()
	o.Add([]byte("as ever"), a.Local())
	send(t, other, o)
	if got, _ := receive(t, a, 1); !bytes.Equal(got[0], []byte("as ever")) {
		t.Errorf("%q", got)
	}
}

// TestPollerAllocates nothing for what comes and goes, while it is held.
func TestPollerAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, peer := open(t, "udp4", "127.0.0.1:0", false), open(t, "udp4", "127.0.0.1:0", false)
	s := serve(t, a)
	o, in, to := NewOutbox(), NewInbox(), a.Local()
	missing := 0
	read := func() bool { missing -= in.Len(); return missing > 0 }
	step := func() {
		for range 5 {
			o.Add([]byte("ping"), to)
		}
		_, _ = peer.Send(o)
		missing = 5
		_ = peer.Serve(in, read)
	}
	s.rally(t, peer, to)
	// Not testing.AllocsPerRun, which leaves one processor, and that is held.
	const steps = 1000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range steps {
		step()
	}
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > steps/10 { // the runtime's own
		t.Error(n, "allocations")
	}
}

// TestNoRoom waits for room in a socket's buffer, for a while.
func TestNoRoom(t *testing.T) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.Close(ends[0]), unix.Close(ends[1]) }()
	o := NewOutbox()
	s := &o.sys
	fill := func() syscall.Errno {
		o.Add([]byte("datagram"), netip.AddrPort{})
		s.prepare(o, 0, netip.Addr{}, false, false)
		s.sendmmsg(uintptr(ends[0]))
		o.reset()
		return s.errno
	}
	for fill() == 0 {
	}
	if s.errno != syscall.EAGAIN {
		t.Fatal(s.errno)
	}
	if !s.sendmmsgWait(uintptr(ends[0])) || s.errno != syscall.EAGAIN || s.sent != 0 {
		t.Error("nobody reads, but", s.errno, s.sent)
	}
	var reader sync.WaitGroup
	reader.Go(func() { _, _ = unix.Read(ends[1], make([]byte, 100)) })
	if !s.sendmmsgWait(uintptr(ends[0])) || s.errno != 0 || s.sent != 1 {
		t.Error("there is room, but", s.errno, s.sent)
	}
	reader.Wait()
}
