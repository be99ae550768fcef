package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
)

func handlerFor(b Backend, token config.Secret) http.Handler {
	return New(config.AdminConfig{Token: token}, b, fakeMetrics(), zerolog.Nop()).Handler()
}

func askAdmin(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "localhost:9090"
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAnswers(t *testing.T) {
	h := handlerFor(busyBackend(time.Now()), "s3cret")
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/healthz", 200, "ok"},
		{"GET", "/readyz", 200, "ready\nok   listeners\n"},
		{"GET", "/metrics", 200, "rewatch_subscriptions 48213"},
		{"GET", "/", 200, "<!doctype html>"},
		{"HEAD", "/", 200, ""},
		{"GET", "/app.js", 200, "import"},
		{"GET", "/style.css", 200, ":root"},
		{"GET", "/nothing", 404, `"error"`},
		{"GET", "/console/index.html", 404, `"error"`},
		{"POST", "/", 405, `"error"`},
		{"DELETE", "/healthz", 405, `"error"`},
		{"GET", "/api/v1/nothing", 404, `"error"`},
		{"GET", "/api/v1/summary", 200, `"notify_ok": 1203456`},
		{"GET", "/api/v1/watchers", 200, `"next": "sip:a@ims.example"`},
		{"GET", "/api/v1/watchers?limit=0", 400, "limit is"},
		{"GET", "/api/v1/subscriptions?limit=x", 400, "limit is"},
		{"PUT", "/api/v1/subscriptions", 405, `"error"`},
		{"GET", "/api/v1/recoveries?limit=1", 200, `"phase": "waiting"`},
		{"GET", "/api/v1/clients", 200, `"family": "Linphone"`},
		{"GET", "/api/v1/alarms", 200, `"name": "routing-fault"`},
		{"GET", "/api/v1/watchers/sip:alice@ims.example", 200, `"sent": 1`},
		{"GET", "/api/v1/watchers/sip%3Aalice%40ims.example", 200, `"sent": 1`},
		{"GET", "/api/v1/watchers/sip:nobody@ims.example", 404, "nothing is known"},
		{"GET", "/api/v1/watchers/sip:alice@ims.example/reset", 405, "POST"},
		{"POST", "/api/v1/watchers/sip:alice@ims.example", 405, "GET"},
	} {
		w := askAdmin(h, c.method, c.path)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
		if w.Code >= 400 {
			var e apiError
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == "" {
				t.Errorf("%s %s: no JSON error: %s", c.method, c.path, w.Body)
			}
		}
		if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s %s: no Content-Security-Policy", c.method, c.path)
		}
	}
}

func TestPaging(t *testing.T) {
	b := busyBackend(time.Now())
	askAdmin(handlerFor(b, ""), "GET", "/api/v1/watchers?limit=7&after=sip:b%40x")
	if b.limit != 7 || b.after != "sip:b@x" {
		t.Errorf("limit %d, after %q", b.limit, b.after)
	}
	askAdmin(handlerFor(b, ""), "GET", "/api/v1/watchers")
	if b.limit != defaultLimit || b.after != "" {
		t.Errorf("limit %d, after %q", b.limit, b.after)
	}
}

func TestReadiness(t *testing.T) {
	b := &fakeBackend{ready: []Condition{{Name: "listeners", OK: true}, {Name: "server", Detail: "sip:127.0.0.1:5070 does not answer"}}}
	w := askAdmin(handlerFor(b, ""), "GET", "/readyz")
	if want := "not ready\nok   listeners\nwait server: sip:127.0.0.1:5070 does not answer\n"; w.Code != 503 || w.Body.String() != want {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	w = askAdmin(handlerFor(b, ""), "GET", "/readyz", "Accept", "application/json")
	var r readiness
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || w.Code != 503 || r.Ready || len(r.Conditions) != 2 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestChangesNeedTheToken(t *testing.T) {
	const alice = "/api/v1/watchers/sip:alice@ims.example/"
	for _, c := range []struct {
		name   string
		token  config.Secret
		path   string
		header string
		status int
		want   string
	}{
		{"none configured", "", alice + "reset", "Bearer ", 403, ""},
		{"none given", "s3cret", alice + "reset", "", 401, ""},
		{"wrong", "s3cret", alice + "reset", "Bearer s3cret2", 401, ""},
		{"wrong scheme", "s3cret", alice + "reset", "Basic s3cret", 401, ""},
		{"reset", "s3cret", alice + "reset", "Bearer s3cret", 200, "reset sip:alice@ims.example"},
		{"unban", "s3cret", alice + "unban", "bearer s3cret", 200, "unban sip:alice@ims.example"},
		{"slash in the name", "s3cret", "/api/v1/watchers/sip:a%2Fb@ims.example/unban", "Bearer s3cret", 200, "unban sip:a/b@ims.example"},
		{"unknown", "s3cret", "/api/v1/watchers/sip:x@y/reset", "Bearer s3cret", 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := busyBackend(time.Now())
			w := askAdmin(handlerFor(b, c.token), "POST", c.path, "Authorization", c.header)
			if got := strings.Join(b.changed, ";"); w.Code != c.status || got != c.want {
				t.Errorf("%d %s, changed %q", w.Code, w.Body, got)
			}
			audit := ""
			switch {
			case w.Code == 200:
				audit = "administrator at 192.0.2.1: " + c.want + ": asked for by the API"
			case w.Code == 401 && c.header != "":
				audit = "unknown at 192.0.2.1: denied : a change was asked for with a wrong token, and refused"
			}
			if written := strings.Join(b.audited, ";"); written != audit {
				t.Errorf("written down: %s", written)
			}
			if c.status == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
}

func TestConsoleIsCached(t *testing.T) {
	h := handlerFor(&fakeBackend{}, "")
	first := askAdmin(h, "GET", "/app.js")
	if again := askAdmin(h, "GET", "/app.js", "If-None-Match", first.Header().Get("ETag")); again.Code != http.StatusNotModified {
		t.Errorf("%d", again.Code)
	}
	// Nothing may come from elsewhere, and no script or style may stand in the page.
	page := askAdmin(h, "GET", "/").Body.String()
	for _, wrong := range []string{"http://", "https://", "<style", "style=", "onclick", "<script>"} {
		if strings.Contains(page, wrong) {
			t.Errorf("the page contains %q", wrong)
		}
	}
}

func TestAdminStartsAndStops(t *testing.T) {
	a := New(config.AdminConfig{Listen: "127.0.0.1:0"}, &fakeBackend{}, fakeMetrics(), zerolog.Nop())
	if err := a.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := New(config.AdminConfig{Listen: a.Addr().String()}, &fakeBackend{}, fakeMetrics(), zerolog.Nop())
	if err := b.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "REWATCH_ADMIN_LISTEN") {
		t.Errorf("a port in use: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- a.Serve() }()
	response, err := http.Get("http://" + a.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if string(body) != "ok\n" {
		t.Errorf("%q", body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := a.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
