package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/proxy/transport"
	"rewatch/proxy/transport/transporttest"
	"rewatch/proxy/wire"
)

// handler writes down what it is given.
type handler struct {
	mu       sync.Mutex
	messages []string
	closed   []error
	bad      []string // what could not be read
	echo     bool
	last     *transport.Stream
}

func (h *handler) Message(s *transport.Stream, raw []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages = append(h.messages, string(raw))
	h.last = s
	if h.echo {
		_ = s.Write(raw)
	}
}

func (h *handler) Unreadable(s *transport.Stream, raw []byte, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bad = append(h.bad, string(raw))
	_ = s.Write([]byte(err.Error()))
}

func (h *handler) Closed(_ *transport.Stream, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = append(h.closed, err)
}

func (h *handler) got() (messages, closed int) {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.messages), len(h.closed)
}

const here, there = "10.0.0.1:5060", "10.0.0.2:5060"

// message is one of the given size.
func message(size int) string {
	const head = "MESSAGE sip:a@b SIP/2.0\r\nContent-Length: %6d\r\n\r\n"
	n := len(fmt.Sprintf(head, 0))
	return fmt.Sprintf(head, size-n) + strings.Repeat("x", size-n)
}

type stage struct {
	*testing.T
	handler

	net transporttest.Network
	set *transport.Streams
}

// play runs a test with a set of streams that listens at here.
func play(t *testing.T, cfg transport.StreamConfig, f func(*stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{T: t}
		if cfg.Frame == nil {
			cfg.Frame = wire.FrameFrom
		}
		cfg.Dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			return s.net.Dial(ctx, netip.MustParseAddr("10.0.0.1"), to)
		}
		s.set = transport.NewStreams(cfg, s)
		s.set.Serve(s.net.Listen(here), false, "tag")
		defer func() {
			s.set.Shutdown()
			synctest.Wait()
		}()
		f(s)
	})
}

func (s *stage) dial() net.Conn {
	c, err := s.net.Dial(context.Background(), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddrPort(here))
	if err != nil {
		s.Fatal(err)
	}
	synctest.Wait()
	return c
}

// write writes without blocking the test for ever.
func write(c net.Conn, parts ...string) {
	for _, p := range parts {
		_, _ = c.Write([]byte(p))
		synctest.Wait()
	}
}

func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// TestCut finds messages however they arrive: together, byte by byte, with empty
// lines between.
func TestCut(t *testing.T) {
	play(t, transport.StreamConfig{MessageTimeout: time.Hour}, func(s *stage) {
		c := s.dial()
		one, two := message(100), message(20000)
		write(c, one+two+"\r\n"+one[:10], one[10:])
		for _, b := range []byte(one) {
			write(c, string(b))
		}
		if n, _ := s.got(); n != 4 {
			t.Fatal(n, "messages")
		}
		if s.messages[0] != one || s.messages[1] != two || s.messages[2] != one || s.messages[3] != one {
			t.Error("not what was sent")
		}
		if s.last.Listener != "tag" || s.last.Peer.Addr().String() != "10.0.0.2" || s.last.Dialled || s.last.Served() != 4 {
			t.Errorf("%+v", s.last.Peer)
		}
	})
}

// TestPatience closes those who are silent, slow, too long or no SIP at all.
func TestPatience(t *testing.T) {
	cfg := transport.StreamConfig{IdleTimeout: time.Minute, MessageTimeout: 10 * time.Second, MaxMessage: 5000}
	for _, c := range []struct {
		name  string
		parts []string // a second apart
		after time.Duration
		slow  int    // how often one is counted
		word  string // the last one, upon what cannot be read
	}{
		{"says nothing at all", nil, 10 * time.Second, 1, ""},
		{"is silent after a message", []string{message(100)}, time.Minute * 17 / 16, 0, ""},
		{"is silent after two", []string{message(100), message(100)}, time.Minute*17/16 - time.Second, 0, ""},
		{"stops within a message", []string{message(100), message(100)[:50]}, 10 * time.Second, 1, ""},
		{"sends a byte a second", strings.Split(message(100), ""), -90 * time.Second, 1, ""},
		{"sends too much", []string{message(6000)[:1000]}, 0, 0, "message too large"},
		{"has no end", []string{"MESSAGE sip:a@b SIP/2.0\r\n" + strings.Repeat("X: y\r\n", 1000)}, 0, 0, "message too large"},
		{"is no SIP", []string{"\x16\x03\x01\x02\x00\x01"}, 0, 0, "not a SIP message"},
		{"is none behind a message", []string{message(100) + "\x00\x00"}, 0, 0, "not a SIP message"},
		{"lies about its length", []string{"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n"}, 0, 0, "malformed Content-Length"},
		{"closes", []string{"close"}, 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var refused refusals
			cfg.Refused = refused.add
			play(t, cfg, func(s *stage) {
				x := s.dial()
				defer func() { _ = x.Close() }()
				var heard strings.Builder
				go func() { _, _ = io.Copy(&heard, x) }()
				for i, p := range c.parts {
					if i > 0 {
						wait(time.Second)
					}
					if p == "close" {
						_ = x.Close()
					}
					go func() { _, _ = x.Write([]byte(p)) }()
					synctest.Wait()
				}
				if c.after > 0 {
					wait(c.after - time.Millisecond)
					if _, n := s.got(); n != 0 {
						t.Fatal("closed too early: ", s.closed)
					}
					wait(2 * time.Millisecond)
				}
				if _, n := s.got(); n != 1 || s.set.Len() != 0 {
					t.Fatal("not closed")
				}
				if mine := errors.Is(s.closed[0], transport.ErrOurs); mine != (c.parts == nil || c.parts[0] != "close") {
					t.Errorf("closed by this side: %t (%v)", mine, s.closed[0])
				}
				if n := refused.of(transport.RefusedSlow); n != c.slow || len(refused.n) != c.slow {
					t.Errorf("%d are counted as slow, of %v", n, refused.n)
				}
				if heard.String() != c.word || (len(s.bad) == 1) != (c.word != "") {
					t.Errorf("it heard %q, and what could not be read was told %d times", heard.String(), len(s.bad))
				}
			})
		})
	}
}

// TestLastWord closes soon upon what cannot be read, though the peer reads nothing.
func TestLastWord(t *testing.T) {
	play(t, transport.StreamConfig{}, func(s *stage) {
		x := s.dial()
		defer func() { _ = x.Close() }()
		write(x, "\x00")
		if _, n := s.got(); n != 0 || s.last != nil {
			t.Fatal("closed before the answer was taken")
		}
		wait(3 * time.Second)
		if _, n := s.got(); n != 1 || s.set.Load().Queued != 0 {
			t.Error("not closed, or what waits is kept")
		}
	})
}

// TestSlowReader neither blocks the writer nor lets what waits grow without bound.
func TestSlowReader(t *testing.T) {
	play(t, transport.StreamConfig{MaxBacklog: 10000, WriteTimeout: 5 * time.Second}, func(s *stage) {
		accept := s.net.Listen(there)
		defer func() { _ = accept.Close() }()
		x := s.set.To(netip.MustParseAddrPort(there), false, "")
		var err error
		n := 0
		for ; err == nil; n++ {
			err = x.Write([]byte(message(1000)))
			synctest.Wait()
		}
		if !errors.Is(err, transport.ErrBacklog) || n > 13 {
			t.Error(n, err)
		}
		wait(6 * time.Second)
		if _, n := s.got(); n != 1 || !errors.Is(x.Write([]byte("x")), transport.ErrClosed) {
			t.Error("a peer that reads nothing is still there")
		}
	})
}

// refusals counts why connections were closed.
type refusals struct {
	mu sync.Mutex
	n  map[transport.Refusal]int
}

func (r *refusals) add(why transport.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == nil {
		r.n = map[transport.Refusal]int{}
	}
	r.n[why]++
}

func (r *refusals) of(why transport.Refusal) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n[why]
}

// TestBound closes connections beyond MaxStreams at once, and those not admitted;
// what is dialled has a bound of its own.
func TestBound(t *testing.T) {
	var refused refusals
	cfg := transport.StreamConfig{
		MaxStreams: 2,
		Admit:      func(p netip.AddrPort) bool { return p.Addr().String() != "10.0.0.66" },
		Refused:    refused.add,
	}
	play(t, cfg, func(s *stage) {
		a, b, c := s.dial(), s.dial(), s.dial()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a third one")
		}
		for i, peer := range []string{"10.0.0.3:5060", "10.0.0.4:5060", "10.0.0.5:5060"} {
			s.net.Blackhole(peer)
			if x := s.set.To(netip.MustParseAddrPort(peer), false, ""); (x != nil) != (i < 2) {
				t.Errorf("dial number %d: %v", i, x)
			}
		}
		stranger, err := s.net.Dial(context.Background(), netip.MustParseAddr("10.0.0.66"), netip.MustParseAddrPort(here))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stranger.Read(make([]byte, 1)); err == nil {
			t.Error("admitted")
		}
		_ = a.Close()
		synctest.Wait()
		_ = s.dial()
		if l := s.set.Load(); l.Accepted != 2 {
			t.Errorf("%+v", l)
		}
		_ = b.Close()
		if refused.of(transport.RefusedStreams) != 1 || refused.of(transport.RefusedUntrusted) != 1 {
			t.Error(refused.n)
		}
	})
}

// TestShutdown ends everything in whatever state it is, and takes nothing new.
func TestShutdown(t *testing.T) {
	play(t, transport.StreamConfig{}, func(s *stage) {
		_ = s.dial()
		write(s.dial(), message(100)[:30])
		s.net.Blackhole(there)
		s.set.To(netip.MustParseAddrPort(there), false, "")
		s.set.Shutdown()
		if _, n := s.got(); n != 3 || s.set.Len() != 0 {
			t.Error(n, s.set.Len())
		}
		if s.set.To(netip.MustParseAddrPort(there), false, "") != nil {
			t.Error("dialled after the end")
		}
	})
}
