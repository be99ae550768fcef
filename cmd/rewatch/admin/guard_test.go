package admin

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
)

// Connections that never bring a request do not keep out a probe.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	a := New(config.AdminConfig{Listen: "127.0.0.1:0"}, &fakeBackend{}, fakeMetrics(), zerolog.Nop())
	if err := a.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { _ = a.Serve() })
	defer served.Wait()
	defer func() { _ = a.server.Close() }()
	client := http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	get := func() error {
		resp, err := client.Get("http://" + a.Addr().String() + "/healthz")
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	for i := range 2 * maxAdminConns {
		c, err := net.Dial("tcp", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_, _ = fmt.Fprint(c, []string{"", "G", "GET /healthz HTTP/1.1\r\nHost: x\r\n"}[i%3])
		if i%64 == 0 {
			if err := get(); err != nil {
				t.Fatalf("with %d others: %v", i, err)
			}
		}
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	a.guard.mu.Lock()
	n := len(a.guard.conns)
	a.guard.mu.Unlock()
	if n > maxAdminConns {
		t.Errorf("%d connections", n)
	}
	if text := askAdmin(a.Handler(), "GET", "/metrics").Body.String(); strings.Contains(text, `rewatch_admin_refused_total{what="connection"} 0`) {
		t.Error("what made room is not counted")
	}
}

// slowBackend takes its time to list watchers.
type slowBackend struct {
	*fakeBackend
	ready chan struct{}
}

func (b slowBackend) Watchers(int, string) Page {
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
