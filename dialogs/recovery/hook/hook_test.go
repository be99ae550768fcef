package hook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
)

// sip is the Actor that sends SIP; it counts what goes on to it.
type sip struct{ asked []dialogs.DeregisterJob }

func (*sip) Message(context.Context, dialogs.MessageJob) dialogs.Result {
	return dialogs.Result{Status: 202}
}

func (*sip) Terminate(context.Context, dialogs.TerminateJob) dialogs.Result {
	return dialogs.Result{Status: 200}
}

func (s *sip) Deregister(_ context.Context, j dialogs.DeregisterJob) dialogs.Result {
	s.asked = append(s.asked, j)
	return dialogs.Result{Status: 200}
}

func mustNew(t *testing.T, cfg Config) (*Actor, *sip) {
	t.Helper()
	rest := &sip{}
	a, err := New(cfg, rest)
	if err != nil {
		t.Fatal(err)
	}
	return a, rest
}

var job = dialogs.DeregisterJob{
	AOR: "sip:alice+a/b?c@ims.example", Contact: `sip:alice@10.0.0.1:5060;ob="x"`, Route: "sip:scscf.ims.example:6060;lr",
}

// What is asked of the system is what the operator has written, with nothing of the
// user's that could be taken for more than a value.
func TestRequest(t *testing.T) {
	var got *http.Request
	var body string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r, string(b)
	}))
	defer srv.Close()
	a, rest := mustNew(t, Config{
		Request: "POST " + srv.URL + "/impu/{aor}?user={user}&domain={domain}&x={contact}&s={scscf}",
		Body:    `{"method":"dereg","params":["{aor}","{contact}"],"n":{"deep":{}}}`, Token: "s3cret",
	})
	res := a.Deregister(t.Context(), job)
	if !res.OK() {
		t.Fatalf("%+v", res)
	}
	if got.Method != "POST" || got.URL.EscapedPath() != "/impu/sip%3Aalice%2Ba%2Fb%3Fc%40ims.example" {
		t.Errorf("asked %s %s", got.Method, got.URL.EscapedPath())
	}
	q := got.URL.Query()
	for key, want := range map[string]string{"user": "alice+a/b?c", "domain": "ims.example", "x": job.Contact, "s": job.Route} {
		if q.Get(key) != want {
			t.Errorf("%s is %q, want %q", key, q.Get(key), want)
		}
	}
	if got.Header.Get("Authorization") != "Bearer s3cret" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("header %v", got.Header)
	}
	var sent struct{ Params []string }
	if err := json.Unmarshal([]byte(body), &sent); err != nil || len(sent.Params) != 2 || sent.Params[0] != job.AOR || sent.Params[1] != job.Contact {
		t.Errorf("body %s: %v", body, err)
	}
	if len(rest.asked) != 0 {
		t.Error("a REGISTER was sent as well")
	}
}

func TestTelURI(t *testing.T) {
	v := valuesOf(dialogs.DeregisterJob{AOR: "tel:+4930123;phone-context=x"})
	if v["{user}"] != "+4930123" || v["{domain}"] != "" {
		t.Errorf("%v", v)
	}
}

// Each answer means one thing.
func TestOutcome(t *testing.T) {
	for code, want := range map[int]struct{ ok, refused bool }{
		200: {ok: true}, 202: {ok: true}, 204: {ok: true}, 404: {ok: true},
		401: {refused: true}, 403: {refused: true},
		302: {}, 307: {}, 400: {}, 408: {}, 429: {}, 500: {}, 503: {},
	} {
		asked := 0
		stray := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%d: the redirect was followed", code) }))
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.Header().Set("Location", stray.URL)
			w.WriteHeader(code)
		}))
		a, _ := mustNew(t, Config{Request: "DELETE " + srv.URL + "/impu/{aor}"})
		res := a.Deregister(t.Context(), job)
		if res.OK() != want.ok || errors.Is(res.Err, dialogs.ErrRefused) != want.refused || asked != 1 {
			t.Errorf("%d: %+v, asked %d times", code, res, asked)
		}
		srv.Close()
		stray.Close()
	}
}

// A system that does not answer holds nobody longer than the timeout, and an error
// shows neither the URL nor the user.
func TestNoAnswer(t *testing.T) {
	stop := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(stop)
	for name, url := range map[string]string{"silent": srv.URL, "nobody": "http://127.0.0.1:1"} {
		a, _ := mustNew(t, Config{Request: "DELETE " + url + "/secret/{aor}", Timeout: 50 * time.Millisecond})
		began := time.Now()
		res := a.Deregister(t.Context(), job)
		if res.OK() || res.Err == nil || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %+v after %s", name, res, time.Since(began))
		}
		if text := res.Err.Error(); strings.Contains(text, "secret") || strings.Contains(text, "alice") {
			t.Errorf("%s: the error says %s", name, text)
		}
	}
}

// A certificate that nobody knows is no certificate.
func TestVerifiesTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	defer srv.Close()
	srv.Config.ErrorLog = nil
	a, _ := mustNew(t, Config{Request: "DELETE " + srv.URL + "/impu/{aor}"})
	if res := a.Deregister(t.Context(), job); res.OK() {
		t.Errorf("%+v", res)
	}
	known, _ := mustNew(t, Config{Request: "GET " + httptestOK(t) + "/{aor}", Client: srv.Client()})
	if res := known.Deregister(t.Context(), job); !res.OK() {
		t.Errorf("%+v", res)
	}
}

func httptestOK(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// Everything else goes by SIP.
func TestRestBySIP(t *testing.T) {
	a, rest := mustNew(t, Config{Request: "DELETE http://127.0.0.1:1/{aor}"})
	server := job
	server.Target = dialogs.AtServer
	if res := a.Deregister(t.Context(), server); !res.OK() || len(rest.asked) != 1 {
		t.Errorf("%+v, %v", res, rest.asked)
	}
	if res := a.Message(t.Context(), dialogs.MessageJob{}); res.Status != 202 {
		t.Errorf("%+v", res)
	}
}

func TestCheck(t *testing.T) {
	for _, good := range []string{
		"DELETE http://scscf:9886/impu/{aor}", "POST https://10.0.0.1/rpc?u={user}", "PUT http://[::1]:80/{domain}/{user}", " DELETE  http://h/{aor} ",
	} {
		if err := Check(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "DELETE", "http://h/{aor}", "delete http://h/{aor}", "DELETE ftp://h/{aor}", "DELETE http:///x", "DELETE http://{domain}/x",
		"DELETE http://h:{user}/", "DELETE http://{user}@h/", "DELETE http://h/{name}", "DELETE http://h/a b", "DELETE http://h/#x", "TRACE http://h/",
		"DELETE {scscf}", "DELETE http://h\r\nX: y/",
	} {
		if err := Check(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{"", `{"a":"{aor}"}`, `["{user}@{domain}"]`, `{"a":{"b":{}}}`} {
		if err := CheckBody(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"{aor}", `{"a":"{name}"}`, `{"a":`, "user={user}"} {
		if err := CheckBody(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := New(Config{Request: "DELETE http://h/{aor}", Body: "{"}, nil); err == nil {
		t.Error("a body that is no JSON is taken")
	}
	if _, err := New(Config{Request: "x"}, nil); err == nil {
		t.Error("what is no request is taken")
	}
}

// Whatever a peer is called, it stays one value in URL and body.
func FuzzFill(f *testing.F) {
	f.Add(`sip:a"b\@c`, "sip:x@y")
	f.Add("sip:../../x@y?a=b#c", "{aor}\r\n")
	f.Fuzz(func(t *testing.T, aor, contact string) {
		v := valuesOf(dialogs.DeregisterJob{AOR: aor, Contact: contact})
		u := v.fill("/impu/{aor}/{contact}?q={user}", percent)
		if strings.Count(u, "/") != 3 || strings.Count(u, "?") != 1 || strings.ContainsAny(u, "#\r\n &") {
			t.Fatalf("%q became %s", aor, u)
		}
		var out []string
		if err := json.Unmarshal([]byte(v.fill(`["{aor}","{contact}"]`, jsonString)), &out); err != nil || len(out) != 2 {
			t.Fatalf("%q, %q: %v", aor, contact, err)
		}
	})
}
