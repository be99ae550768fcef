package admin

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
)

// change asks for a change with the right token.
func change(b *fakeBackend, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost"
	r.Header.Set("X-Rewatch-Token", "s3cret")
	w := httptest.NewRecorder()
	handlerFor(b, "s3cret").ServeHTTP(w, r)
	return w
}

// Each control does what it is asked, says so, and is written down; what cannot be meant
// changes nothing.
func TestControls(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		status             int
		want, modes, audit string
	}{
		{"PUT", "hold", `{"reason":" a change\n of the core "}`, 200, `"reason": "a change of the core"`, "held-by-hand,held", "hold : a change of the core"},
		{"PUT", "hold", `{"reason":" "}`, 400, "needs a reason", "held", ""},
		{"PUT", "hold", `{}`, 400, "needs a reason", "held", ""},
		{"PUT", "hold", ``, 400, "JSON such as", "held", ""},
		{"PUT", "hold", `{"reson":"x"}`, 400, "unknown field", "held", ""},
		{"PUT", "hold", `{"reason":"x"} {}`, 400, "something follows", "held", ""},
		{"PUT", "hold", `{"reason":"` + strings.Repeat("x", 501) + `"}`, 400, "at most 500", "held", ""},
		{"DELETE", "hold", ``, 404, "not held by hand", "held", ""},
		{"DELETE", "hold?hop=10.0.0.7:5060", ``, 200, `"hop": "10.0.0.7:5060"`, "normal", "resume : asked for by the API: 10.0.0.7:5060"},
		{"DELETE", "hold?hop=10.0.0.8:5060", ``, 404, "not held", "held", ""},
		{"DELETE", "hold?hop=", ``, 404, "not held", "held", ""},
		{"POST", "hold", ``, 405, "only GET and HEAD and PUT and DELETE", "held", ""},
		{"GET", "hold", ``, 200, `"hop": "10.0.0.7:5060"`, "held", ""},
		{"PUT", "dry-run", `{"on":true}`, 200, `"on": true`, "dry-run,held", "dry-run : asked for by the API: on"},
		{"PUT", "dry-run", `{"on":false}`, 200, `"kept_over_restart": false`, "held", "dry-run : asked for by the API: off"},
		{"PUT", "dry-run", `{}`, 400, "say whether", "held", ""},
		{"DELETE", "dry-run", ``, 405, "GET and HEAD and PUT", "held", ""},
		{"GET", "dry-run", ``, 200, `"on": false`, "held", ""},
		{"PUT", "log-level", `{"level":"debug"}`, 200, `"level": "debug"`, "held", "log-level : asked for by the API: debug"},
		{"PUT", "log-level", `{"level":"loud"}`, 400, "trace, debug", "held", ""},
		{"GET", "log-level", ``, 200, `"level"`, "held", ""},
	} {
		b := &fakeBackend{holds: []fakeHold{{Hop: "10.0.0.7:5060", Reason: "silent"}}}
		w := change(b, c.method, "/api/v1/"+c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || strings.Join(b.Modes(), ",") != c.modes {
			t.Errorf("%s %s %s: %d %s, modes %v", c.method, c.path, c.body, w.Code, w.Body, b.Modes())
		}
		audit := strings.Join(b.audited, ";")
		if strings.TrimPrefix(audit, "administrator at 192.0.2.1: ") != c.audit {
			t.Errorf("%s %s %s: written down: %s", c.method, c.path, c.body, audit)
		}
	}
}

func TestResume(t *testing.T) {
	b := &fakeBackend{held: "a change"}
	if w := change(b, "DELETE", "/api/v1/hold", ""); w.Code != 200 || b.held != "" || len(b.audited) != 1 {
		t.Errorf("%d %s, %v", w.Code, w.Body, b.audited)
	}
}

// Nothing is changed, by any method, without the token, in either header.
func TestControlsNeedTheToken(t *testing.T) {
	b := &fakeBackend{held: "a change", holds: []fakeHold{{Hop: "h"}}, level: "info"}
	a := New(config.AdminConfig{Token: "s3cret"}, b, fakeMetrics(), zerolog.Nop())
	a.cost = 0
	h := a.Handler()
	for _, c := range []struct{ method, path string }{
		{"PUT", "hold"}, {"DELETE", "hold"}, {"DELETE", "hold?hop=h"}, {"PUT", "dry-run"}, {"PUT", "log-level"},
	} {
		for _, headers := range [][]string{nil, {"Authorization", "Basic czNjcmV0"}} {
			if w := askAdmin(h, c.method, "/api/v1/"+c.path, headers...); w.Code != 401 {
				t.Errorf("%s %s with %v: %d", c.method, c.path, headers, w.Code)
			}
		}
		if w := askAdmin(handlerFor(b, ""), c.method, "/api/v1/"+c.path, "X-Rewatch-Token", ""); w.Code != 403 {
			t.Errorf("%s %s where there is no token: %d", c.method, c.path, w.Code)
		}
	}
	if b.held == "" || b.dry || b.level != "info" || len(b.holds) != 1 {
		t.Errorf("%+v", b)
	}
}

// The summary tells the modes and what is held.
func TestSummaryTellsModes(t *testing.T) {
	b := busyBackend(time.Now())
	b.dry, b.held, b.level = true, "a change", "debug"
	text := askAdmin(handlerFor(b, ""), "GET", "/api/v1/summary").Body.String()
	for _, want := range []string{`"dry-run"`, `"held-by-hand"`, `"reason": "a change"`, `"log_level": "debug"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if !slices.Contains(b.Modes(), "dry-run") {
		t.Error(b.Modes())
	}
}
