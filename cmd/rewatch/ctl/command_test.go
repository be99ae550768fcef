package ctl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"rewatch/cmd/rewatch/cli"
)

// call runs a command, and gives what it says.
func call(t *testing.T, environ cli.Environ, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := Command(t.Context(), cli.Call{Args: args, Environ: environ, Stdout: &out})
	return out.String(), err
}

// TestStatus: what an operator wants to know first, in words.
func TestStatus(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) string { return now.Add(-d).Format(time.RFC3339) }
	var alarms []string
	for i := range 22 {
		alarms = append(alarms, fmt.Sprintf(`{"name":"watcher-exhausted","object":"sip:u%d@ims.example","severity":"minor","raised_at":%q}`, i, ago(time.Hour)))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/summary":
			_, _ = fmt.Fprintf(w, `{"version":"v1.2.3","started":%q,"now":%q,"ready":false,"modes":["held","held-by-hand"],"log_level":"info",
				"conditions":[{"name":"server","ok":false,"detail":"no answer"},{"name":"listeners","ok":true}],
				"holds":[{"hop":"192.0.2.1:5060","reason":"silence","at":%q,"waiting":7},{"reason":"maintenance","at":%q,"by_hand":true}],
				"subscriptions":12,"registrations":5,"deregistered":3}`, ago(2*time.Hour), ago(0), ago(time.Minute), ago(time.Second))
		case "/api/v1/alarms":
			_, _ = fmt.Fprintf(w, `{"items":[%s]}`, strings.Join(alarms, ","))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	out, err := call(t, cli.Environ{}, "-address", server.URL, "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"version         v1.2.3", "up              2h0m0s", "ready           no", "waits for server: no answer", "mode            held, held-by-hand",
		"held            192.0.2.1:5060, for 1m0s: silence; 7 users wait", "held            by hand, for 1s: maintenance",
		"log level       info", "subscriptions   12", "registrations   5", "signed out      3 since the start", "alarms          22",
		"minor watcher-exhausted of sip:u19@ims.example, for 1h0m0s", "and 2 more",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "u20@") || strings.Contains(out, "listeners") {
		t.Errorf("it says too much:\n%s", out)
	}
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "no JSON") })
	if out, err := call(t, cli.Environ{}, "-address", server.URL, "status"); err == nil || out != "" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestChanges: each change goes to its place, and is confirmed.
func TestChanges(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	for _, c := range []struct {
		args       []string
		asks, says string
	}{
		{[]string{"hold", "a", "reason"}, `PUT /api/v1/hold {"reason":"a reason"}`, "held"},
		{[]string{"resume"}, "DELETE /api/v1/hold", "goes on"},
		{[]string{"resume", "192.0.2.1:5060"}, "DELETE /api/v1/hold?hop=192.0.2.1%3A5060", "goes on"},
		{[]string{"dry-run", "on"}, `PUT /api/v1/dry-run {"on":true}`, "observes"},
		{[]string{"dry-run", "off"}, `PUT /api/v1/dry-run {"on":false}`, "acts"},
		{[]string{"log-level", "debug"}, `PUT /api/v1/log-level {"level":"debug"}`, "from debug on"},
		{[]string{"reset", "sip:al@ims.example"}, "POST /api/v1/watchers/sip:al@ims.example/reset", "forgiven"},
		{[]string{"unban", "tel:+4930"}, "POST /api/v1/watchers/tel:+4930/unban", "banned no more"},
	} {
		got = nil
		out, err := call(t, cli.Environ{"REWATCH_ADMIN_TOKEN": "s3cret"}, append([]string{"-address", server.URL}, c.args...)...)
		if err != nil || !strings.Contains(out, c.says) || !slices.Equal(got, []string{c.asks}) {
			t.Errorf("%v: %q, %v; asked %q, want %q", c.args, out, err, got, c.asks)
		}
	}
}

// TestWrongWords: what is no command is refused with a line that helps, and nobody is asked.
func TestWrongWords(t *testing.T) {
	for _, args := range [][]string{
		nil, {"stop"}, {"-nonsense"}, {"hold"}, {"status", "now"}, {"dry-run", "maybe"}, {"reset"}, {"reset", "a", "b"}, {"pseudonym"},
	} {
		_, err := call(t, cli.Environ{"REWATCH_ADMIN_TOKEN": "s3cret"}, append([]string{"-address", "127.0.0.1:1"}, args...)...)
		if _, usage := errors.AsType[cli.UsageError](err); !usage {
			t.Errorf("%v: %v", args, err)
		}
	}
	for _, args := range [][]string{{"-h"}, {"help"}} {
		out, err := call(t, nil, args...)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range Words() {
			if !strings.Contains(out, word) {
				t.Errorf("%v does not tell of %s", args, word)
			}
		}
	}
}

// TestPseudonym asks nobody, and is always the same with one key.
func TestPseudonym(t *testing.T) {
	environ := cli.Environ{"REWATCH_LOG_USERS": "pseudonym", "REWATCH_LOG_USERS_KEY": "0123456789abcdef"}
	one, err := call(t, environ, "pseudonym", "sip:al@ims.example")
	again, _ := call(t, environ, "pseudonym", "sip:al@ims.example")
	other, _ := call(t, environ, "pseudonym", "sip:bo@ims.example")
	if err != nil || one == "" || one != again || one == other || strings.Contains(one, "al@") {
		t.Errorf("%q, %q, %q, %v", one, again, other, err)
	}
	if _, err := call(t, cli.Environ{}, "pseudonym", "sip:al@ims.example"); err == nil {
		t.Error("users in clear text have a pseudonym")
	}
}
