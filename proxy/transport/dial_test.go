package transport_test

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/proxy/transport"
)

// TestPing answers each keep-alive of RFC 5626 4.4.1, however it is cut and whatever is in
// front of it or behind it.
func TestPing(t *testing.T) {
	m := message(100)
	for _, c := range []struct {
		name  string
		parts []string
		pongs int
	}{
		{"one", []string{"\r\n\r\n"}, 1},
		{"in two pieces", []string{"\r\n", "\r\n"}, 1},
		{"byte by byte", []string{"\r", "\n", "\r", "\n", "\r", "\n", "\r", "\n"}, 2},
		{"three in a segment", []string{"\r\n\r\n\r\n\r\n\r\n\r\n"}, 3},
		{"in front of a message", []string{"\r\n\r\n" + m}, 1},
		{"behind a message", []string{m + "\r\n\r\n"}, 1},
		{"between two", []string{m + "\r\n\r\n" + m}, 1},
		{"behind a piece of one", []string{m[:50], m[50:] + "\r", "\n\r\n" + m[:20], m[20:]}, 1},
		{"a line end is none", []string{"\r\n", m, "\r\n", m, "\r\n"}, 0},
		{"line feeds are none", []string{"\n\n\n\n\r\r"}, 0},
		{"behind a line end of its own", []string{m + "\r\n", "\r\n\r\n"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, transport.StreamConfig{}, func(s *stage) {
				x := s.dial()
				var heard strings.Builder
				go func() { _, _ = io.Copy(&heard, x) }()
				write(x, c.parts...)
				wait(10 * time.Second)
				if got := heard.String(); got != strings.Repeat("\r\n", c.pongs) {
					t.Errorf("heard %q, want %d pongs", got, c.pongs)
				}
				if n, _ := s.got(); n != strings.Count(strings.Join(c.parts, ""), "MESSAGE") {
					t.Error(n, "messages")
				}
				_ = x.Close()
			})
		})
	}
}

// TestDialOnce opens one connection to a peer, however many ask, writes what they
// bring in order, and dials anew when it is gone.
func TestDialOnce(t *testing.T) {
	play(t, transport.StreamConfig{DialTimeout: 4 * time.Second}, func(s *stage) {
		to := netip.MustParseAddrPort(there)
		x := s.set.To(to, false, "") // nobody listens
		if err := x.Write([]byte("lost")); err != nil && !errors.Is(err, transport.ErrClosed) {
			t.Error(err) // it may be known already
		}
		if _, n := s.got(); n != 1 || x.Local.IsValid() {
			t.Error("the refusal was not told")
		}
		l := s.net.Listen(there)
		defer func() { _ = l.Close() }()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { _ = s.set.To(to, false, "").Write([]byte(message(100))) })
		}
		wg.Wait()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 2000)
		n := 0
		for n < 1000 {
			k, err := c.Read(b[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
		if string(b[:n]) != strings.Repeat(message(100), 10) || s.set.Len() != 1 {
			t.Error(n, s.set.Len())
		}
		synctest.Wait() // the peer may read what our writer has not yet noted as written
		y := s.set.To(to, false, "")
		_ = c.Close()
		if _, n := s.got(); n != 2 || s.set.Get(y.ID) != nil || s.set.To(to, false, "") == y {
			t.Error("the closed one is still used")
		}
	})
}

// TestDialTimeout gives up on a peer that swallows connections.
func TestDialTimeout(t *testing.T) {
	play(t, transport.StreamConfig{DialTimeout: 4 * time.Second}, func(s *stage) {
		s.net.Blackhole(there)
		s.set.To(netip.MustParseAddrPort(there), false, "")
		wait(4*time.Second - 1)
		if _, n := s.got(); n != 0 {
			t.Error("too early")
		}
		wait(1)
		if _, n := s.got(); n != 1 {
			t.Error("not given up")
		}
	})
}
