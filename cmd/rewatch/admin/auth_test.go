package admin

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
)

// Guessing the token is slow, over however many connections, and is counted and
// logged; the right token waits for nobody.
func TestWrongTokensCostTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := busyBackend(time.Now())
		a := New(config.AdminConfig{Token: "s3cret"}, backend, fakeMetrics(), zerolog.Nop())
		h := a.Handler()
		reset := func(token string) int {
			return askAdmin(h, "POST", "/api/v1/watchers/sip:alice@ims.example/reset", "Authorization", token).Code
		}
		start := time.Now()
		const guesses = 3 * maxWrongTokens
		codes := make(chan int)
		for range guesses {
			go func() { codes <- reset("Bearer wrong") }()
		}
		synctest.Wait()
		if code := reset("Bearer s3cret"); code != 200 || time.Since(start) != 0 {
			t.Errorf("the right token gets %d after %v", code, time.Since(start))
		}
		if code := reset(""); code != 401 || time.Since(start) != 0 {
			t.Errorf("no token gets %d after %v", code, time.Since(start))
		}
		for range guesses {
			if code := <-codes; code != 401 {
				t.Errorf("a wrong token gets %d", code)
			}
		}
		if took := time.Since(start); took != 3*wrongTokenTime {
			t.Errorf("%d guesses took %v", guesses, took)
		}
		if text := askAdmin(h, "GET", "/metrics").Body.String(); !strings.Contains(text, `rewatch_admin_refused_total{what="token"} 12`) {
			t.Error("they are not counted")
		}
		if n := strings.Count(strings.Join(backend.audited, "\n"), "unknown at 192.0.2.1: denied"); n != guesses {
			t.Errorf("%d audited of %q", n, backend.audited)
		}
	})
}

// A page that a foreign name leads to (DNS rebinding) reads and changes nothing.
func TestHosts(t *testing.T) {
	a := New(config.AdminConfig{Token: "s3cret", Hosts: []config.HostName{"rewatch.ims.example"}}, busyBackend(time.Now()), fakeMetrics(), zerolog.Nop())
	for _, c := range []struct {
		host, path string
		status     int
	}{
		{"127.0.0.1:9090", "/", 200},
		{"192.0.2.7", "/metrics", 200},
		{"[::1]:9090", "/api/v1/alarms", 200},
		{"[2001:db8::1]", "/", 200},
		{"LocalHost:80", "/", 200},
		{"Rewatch.IMS.example.:9090", "/", 200},
		{"", "/", 200},
		{"evil.example", "/", 421},
		{"evil.example:9090", "/metrics", 421},
		{"ims.example", "/api/v1/watchers", 421},
		{"127.0.0.1.evil.example", "/app.js", 421},
		{"localhost.evil.example:9090", "/api/v1/summary", 421},
		{"evil.example", "/healthz", 200},
		{"evil.example", "/readyz", 200},
	} {
		r := httptest.NewRequest("GET", c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s at %s: %d, want %d", c.path, c.host, w.Code, c.status)
		}
	}
}
