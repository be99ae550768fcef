package admin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
)

// FuzzAdmin asks the admin server anything. It never panics, answers what it says it
// answers, and changes nothing without the token. What came over the network is in
// the answer as JSON, never as text that a browser could take for a page.
func FuzzAdmin(f *testing.F) {
	for _, target := range []string{
		"/", "/healthz", "/readyz", "/metrics", "/app.js", "/api/v1/summary", "/api/v1/watchers?limit=5&after=sip:a@b", "/api/v1/subscriptions?limit=-1",
		"/api/v1/recoveries?limit=2", "/api/v1/alarms", "/api/v1/watchers/sip:alice@ims.example", "/api/v1/watchers/sip%3Amallory%40ims.example/reset",
		"/api/v1/watchers/%3Cscript%3E/unban", "/api/v1/watchers/a%2Fb%00/reset", "//x/../y", "/api/v1/watchers/sip:a%2Fb@ims.example/unban?x=%zz",
	} {
		f.Add("GET", target, "Authorization: Bearer wrong", []byte("x"))
		f.Add("POST", target, "authorization: bearer s3cret\r\nAccept: application/json", []byte{})
	}
	page := askAdmin(handlerFor(&fakeBackend{}, ""), "GET", "/").Body.String()
	f.Fuzz(func(t *testing.T, method, target, header string, body []byte) {
		r, ok := fuzzRequest(method, target, header, body)
		if !ok {
			return
		}
		backend := busyBackend(time.Now())
		w := httptest.NewRecorder()
		a := New(config.AdminConfig{Token: "s3cret"}, backend, fakeMetrics(), zerolog.Nop())
		a.cost = 0 // of a wrong token: time is what a fuzzer lacks
		a.Handler().ServeHTTP(w, r)
		allowed := authorizedBy(r.Header.Values("Authorization"), "s3cret")
		if len(backend.changed) > 0 && (!allowed || r.Method != http.MethodPost || w.Code != http.StatusOK || len(backend.changed) > 1) {
			t.Fatalf("%s %s, %q: %q was done, and answered %d", r.Method, r.RequestURI, header, backend.changed, w.Code)
		}
		judgeAnswer(t, r, w, page)
	})
}

// fuzzRequest reads a request as the server does.
func fuzzRequest(method, target, header string, body []byte) (*http.Request, bool) {
	raw := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" + strings.TrimSpace(header) + "\r\n\r\n" + string(body)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return nil, false
	}
	r.RemoteAddr = "192.0.2.1:4711"
	return r, true
}

// authorizedBy says whether the first field holds the token; written anew, so that it
// can tell of a mistake there.
func authorizedBy(fields []string, token string) bool {
	if len(fields) == 0 {
		return false
	}
	words := strings.SplitN(fields[0], " ", 2)
	return len(words) == 2 && strings.EqualFold(words[0], "bearer") && strings.TrimSpace(words[1]) == token
}

// known are the statuses that rewatch answers with; 3xx lead to the clean path.
var known = []int{200, 301, 304, 307, 308, 400, 401, 403, 404, 405, 421, 503}

func judgeAnswer(t *testing.T, r *http.Request, w *httptest.ResponseRecorder, page string) {
	t.Helper()
	what := r.Method + " " + r.RequestURI
	if !slices.Contains(known, w.Code) {
		t.Fatalf("%s: %d", what, w.Code)
	}
	h := w.Header()
	if !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'self'") || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("%s: %v", what, h)
	}
	for name, values := range h {
		if strings.ContainsAny(name+strings.Join(values, ""), "\r\n\x00") {
			t.Fatalf("%s: a field of the answer has an end in it: %q", what, values)
		}
	}
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	switch kind {
	case "application/json":
		judgeJSON(t, what, w)
	case "text/html":
		if w.Code < 300 && r.Method != http.MethodHead && w.Body.String() != page {
			t.Fatalf("%s: a page that is not ours: %q", what, w.Body)
		}
		if w.Code >= 300 && strings.Count(w.Body.String(), "<") > 2 { // <a href="...">Moved</a>
			t.Fatalf("%s: %q", what, w.Body)
		}
	case "text/plain", "text/css", "text/javascript", "image/svg+xml", "":
	default:
		t.Fatalf("%s: an answer of the kind %q", what, kind)
	}
}

func judgeJSON(t *testing.T, what string, w *httptest.ResponseRecorder) {
	t.Helper()
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%s: %v in %q", what, err, w.Body)
	}
	if bytes.ContainsAny(w.Body.Bytes(), "<>") {
		t.Fatalf("%s: markup in %q", what, w.Body)
	}
	if e, ok := v.(map[string]any)["error"].(string); w.Code >= 400 && (!ok || e == "") {
		t.Fatalf("%s: %d without a reason: %q", what, w.Code, w.Body)
	}
}
