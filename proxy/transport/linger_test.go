package transport_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// owing is a handler that owes a response to each message.
type owing struct {
	asked  chan *transport.Stream
	closed chan error
}

func (h *owing) Message(s *transport.Stream, _ []byte) {
	s.Owe()
	h.asked <- s
}
func (h *owing) Unreadable(*transport.Stream, []byte, error) {}
func (h *owing) Closed(_ *transport.Stream, err error)       { h.closed <- err }

// endings is a set on loopback, one connection of a client to it, and what was given back.
type endings struct {
	*testing.T

	h      *owing
	set    *transport.Streams
	client net.Conn
	unsent func() string
}

func newEndings(t *testing.T, secure bool) *endings {
	t.Helper()
	e := &endings{T: t, h: &owing{asked: make(chan *transport.Stream, 10), closed: make(chan error, 10)}}
	var mu sync.Mutex
	var back bytes.Buffer
	e.unsent = func() string {
		mu.Lock()
		defer mu.Unlock()
		return back.String()
	}
	e.set = transport.NewStreams(transport.StreamConfig{
		Frame: wire.FrameFrom,
		Unsent: func(_ *transport.Stream, raw []byte) {
			mu.Lock()
			defer mu.Unlock()
			back.Write(raw)
		},
	}, e.h)
	t.Cleanup(e.set.Shutdown)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	own, pool := certificate(t)
	if addr := l.Addr().String(); secure {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}})
		e.client, err = net.Dial("tcp4", addr)
		e.client = tls.Client(e.client, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "core.example"})
	} else {
		e.client, err = net.Dial("tcp4", addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	e.set.Serve(l, secure, nil)
	t.Cleanup(func() { _ = e.client.Close() })
	return e
}

// asks sends a request and gives its stream.
func (e *endings) asks() *transport.Stream {
	e.Helper()
	_, _ = e.client.Write([]byte(message(100)))
	return <-e.h.asked
}

// ends waits for the end of the stream, as its Handler sees it.
func (e *endings) ends(want error) {
	e.Helper()
	if err := <-e.h.closed; !errors.Is(err, want) {
		e.Errorf("closed: %v, want %v", err, want)
	}
}

// over waits for the end of all that the stream has done.
func (e *endings) over() {
	e.Helper()
	for began := time.Now(); e.set.Len() > 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			e.Fatal("the stream is still there")
		}
	}
	e.set.Shutdown()
}

// TestLinger: a peer that has shut down its direction of a connection still gets the responses to
// its requests there (RFC 3261 18.2.2); one that has closed it gets them another way, and what was
// queued as well.
func TestLinger(t *testing.T) {
	halves := func(c net.Conn) { _ = c.(interface{ CloseWrite() error }).CloseWrite() }
	for _, secure := range []bool{false, true} {
		for _, c := range []struct {
			name string
			how  func(net.Conn)
			here bool
		}{
			{"half", halves, true},
			{"whole", func(c net.Conn) { _ = c.Close() }, false},
		} {
			t.Run(fmt.Sprint(c.name, " secure=", secure), func(t *testing.T) {
				e := newEndings(t, secure)
				st := e.asks()
				c.how(e.client)
				e.ends(io.EOF)
				if err := st.Write([]byte("x")); !errors.Is(err, transport.ErrClosed) {
					t.Errorf("a request is taken: %v", err)
				}
				response := message(300)
				if err := st.Reply([]byte(response), true); err != nil {
					t.Fatal(err)
				}
				e.over()
				if !c.here {
					if got := e.unsent(); got != response {
						t.Errorf("given back: %q", got)
					}
					return
				}
				if b, err := io.ReadAll(e.client); string(b) != response || err != nil || e.unsent() != "" {
					t.Errorf("the peer got %q, %v; given back: %q", b, err, e.unsent())
				}
			})
		}
	}
}

// TestNothingOwed: a connection ends with its peer if nothing is due to it, and not in good
// order if it ends within a message.
func TestNothingOwed(t *testing.T) {
	e := newEndings(t, false)
	_, _ = e.client.Write([]byte(message(100)[:40]))
	_ = e.client.Close()
	e.ends(io.ErrUnexpectedEOF)
	e.over()
	e = newEndings(t, false)
	if err := e.asks().Reply([]byte(message(100)), true); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(e.client, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	_ = e.client.Close()
	e.ends(io.EOF)
	e.over()
}

// TestQueuedAtTheEnd: what waits in the queue of a connection gets to a peer that shuts down its
// direction and reads on. If the peer breaks the connection, each message that was not written in
// full is given back, whole.
func TestQueuedAtTheEnd(t *testing.T) {
	const size = 10_000
	for _, breaks := range []bool{false, true} {
		t.Run(fmt.Sprint("breaks=", breaks), func(t *testing.T) {
			e := newEndings(t, false)
			tcp := e.client.(*net.TCPConn)
			st := e.asks()
			n := 0
			for ; n < 2000; n++ { // much more than fits into the buffers of both systems
				if st.Reply([]byte(message(size)), true) != nil {
					break
				}
			}
			if breaks {
				_ = tcp.SetLinger(0)
				_ = tcp.Close()
				if err := <-e.h.closed; err == nil {
					t.Error("it has ended without an error")
				}
				e.over()
				if got := len(e.unsent()); got == 0 || got%size != 0 || got > n*size {
					t.Errorf("%d of %d bytes are given back", got, n*size)
				}
				return
			}
			_ = tcp.CloseWrite()
			e.ends(io.EOF)
			if b, err := io.ReadAll(tcp); len(b) != n*size || err != nil || e.unsent() != "" {
				t.Errorf("the peer got %d of %d bytes, %v; given back: %d", len(b), n*size, err, len(e.unsent()))
			}
			e.over()
		})
	}
}
