package admin

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
)

// served runs an admin server on a port of loopback, and returns its address. No deadline of
// the server ends what others do there.
func served(t *testing.T, b Backend) (*Admin, string) {
	t.Helper()
	a := New(config.AdminConfig{Listen: "127.0.0.1:0"}, b, fakeMetrics(), zerolog.Nop())
	if err := a.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.server.ReadHeaderTimeout, a.server.ReadTimeout, a.server.WriteTimeout = time.Hour, time.Hour, time.Hour
	var running sync.WaitGroup
	running.Go(func() { _ = a.Serve() })
	t.Cleanup(func() { _ = a.server.Close(); running.Wait() })
	return a, a.Addr().String()
}

// fetch asks over a connection of its own.
func fetch(t *testing.T, address, path string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return err
}

// open makes a connection that sends something and then only waits.
func open(t *testing.T, address, text string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, _ = io.WriteString(c, text)
}

// wordyBackend has long lists.
type wordyBackend struct{ *fakeBackend }

func (wordyBackend) Watchers(int, string, string) Page {
	return Page{Items: []string{strings.Repeat("x", 128<<10)}}
}

// Whatever others do with their connections, a probe and a scrape are answered, and not
// only when a deadline ends what the others do.
func TestOthersConnectionsHarmNobody(t *testing.T) {
	const large = "GET /api/v1/watchers HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, c := range []struct {
		name, text string
		n          int
	}{
		{"that say nothing", "", 4 * maxConns},
		{"that begin a request", "GET /healthz HTTP/1.1\r\nHost: x\r\n", 2 * maxConns},
		{"that keep alive", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 2 * maxConns},
		{"that do not read a large answer", large, 2 * maxAnswers},
		{"that do not read any of many", strings.Repeat(large, 10), 2 * maxAnswers},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, address := served(t, wordyBackend{&fakeBackend{}})
			for range c.n {
				open(t, address, c.text)
			}
			for _, path := range []string{"/healthz", "/readyz", "/metrics", "/healthz"} {
				if err := fetch(t, address, path); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
			a.guard.mu.Lock()
			defer a.guard.mu.Unlock()
			if n := len(a.guard.conns); n > maxConns || a.guard.unread > maxUnread {
				t.Errorf("%d connections, %d bytes that nobody reads", n, a.guard.unread)
			}
		})
	}
}

// The connections that were closed are counted.
func TestClosedConnectionsAreCounted(t *testing.T) {
	a, address := served(t, &fakeBackend{})
	for range maxConns + 10 {
		open(t, address, "")
	}
	if err := fetch(t, address, "/healthz"); err != nil {
		t.Fatal(err)
	}
	if text := askAdmin(a.Handler(), "GET", "/metrics").Body.String(); !strings.Contains(text, `rewatch_admin_refused_total{what="connection"} 11`) {
		t.Error("what made room is not counted")
	}
}

// pipes is a listener without sockets: what a peer does not read waits in the server.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Unread answers are held to their bound by closing the one that is unread for longest.
func TestUnreadAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(config.AdminConfig{}, wordyBackend{&fakeBackend{}}, fakeMetrics(), zerolog.Nop())
		a.guard.maxUnread = 300 << 10
		listener := make(pipes)
		go func() { _ = a.server.Serve(listener) }()
		defer close(listener)
		var peers []net.Conn
		for range 5 {
			peer, server := net.Pipe()
			listener <- server
			_, _ = io.WriteString(peer, "GET /api/v1/watchers HTTP/1.1\r\nHost: localhost\r\n\r\n")
			synctest.Wait()
			peers = append(peers, peer)
			time.Sleep(time.Second)
		}
		for i, peer := range peers {
			n, _ := io.Copy(io.Discard, io.LimitReader(peer, 128<<10))
			if full, want := n == 128<<10, i >= 3; full != want {
				t.Errorf("reader %d gets %d bytes", i+1, n)
			}
			_ = peer.Close()
		}
		synctest.Wait()
		a.guard.mu.Lock()
		defer a.guard.mu.Unlock()
		if len(a.guard.conns) != 0 || a.guard.unread != 0 {
			t.Errorf("%d connections and %d bytes are left", len(a.guard.conns), a.guard.unread)
		}
	})
}

// slowBackend takes its time to list watchers.
type slowBackend struct {
	*fakeBackend
	ready chan struct{}
}

func (b slowBackend) Watchers(int, string, string) Page {
	<-b.ready
	return Page{Items: []string{}}
}

// Large answers are made for a few at a time; probes do not wait for them.
func TestAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := slowBackend{&fakeBackend{}, make(chan struct{})}
		h := handlerFor(b, "")
		codes := make(chan int, 100)
		for range maxAnswers + 5 {
			go func() { codes <- askAdmin(h, "GET", "/api/v1/watchers").Code }()
		}
		synctest.Wait()
		if w := askAdmin(h, "GET", "/healthz"); w.Code != http.StatusOK {
			t.Error("a probe gets ", w.Code)
		}
		for range 5 {
			if code := <-codes; code != http.StatusServiceUnavailable {
				t.Error("one too many gets ", code)
			}
		}
		close(b.ready)
		for range maxAnswers {
			if code := <-codes; code != http.StatusOK {
				t.Error("one of the first gets ", code)
			}
		}
	})
}
