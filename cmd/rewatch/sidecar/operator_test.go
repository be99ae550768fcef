package sidecar

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
)

// A sidecar runs between a core and a server, with an admin port.
type sidecar struct {
	t                           *testing.T
	core, server                *element
	coreSide, serverSide, admin string
	out                         *lines
	stop                        func()
}

// runSidecar starts one, and stops it when the test ends at the latest.
func runSidecar(t *testing.T, core, server *element, extra cli.Environ) *sidecar {
	t.Helper()
	s := &sidecar{t: t, core: core, server: server, out: &lines{more: make(chan struct{}, 1)}}
	s.coreSide, s.serverSide, s.admin = fmt.Sprint("127.0.0.1:", freePort(t)), fmt.Sprint("127.0.0.1:", freePort(t)), fmt.Sprint("127.0.0.1:", freePort(t))
	vars := cli.Environ{
		"REWATCH_SERVER": server.uri() + ";transport=udp", "REWATCH_CORE": core.uri() + ";transport=udp",
		"REWATCH_LISTEN": "udp://" + s.coreSide, "REWATCH_SERVER_LISTEN": "udp://" + s.serverSide, "REWATCH_ADMIN_LISTEN": s.admin,
		"REWATCH_ADMIN_TOKEN": "let-me-in", "REWATCH_COALESCE": "10ms", "REWATCH_DRAIN": "0s",
	}
	maps.Copy(vars, extra)
	cfg, err := config.Load(vars)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, Reload{}, s.out) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(s.stop)
	s.out.await(t, "rewatch runs")
	return s
}

// ask asks the admin port, with the token.
func (s *sidecar) ask(method, path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, "http://"+s.admin+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer let-me-in")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// shows waits until what the admin port says has a text in it.
func (s *sidecar) shows(path, want string) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		status, text := s.ask(http.MethodGet, path, "")
		if status == http.StatusOK && strings.Contains(text, want) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("GET %s: %d, no %s in\n%s", path, status, want, text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

const alice = "<sip:alice@ims.example>"

// register sends the third-party REGISTER of alice, who has a number too.
func (s *sidecar) register() {
	s.t.Helper()
	s.core.request(s.t, s.coreSide, "REGISTER sip:"+s.coreSide, "From: <sip:scscf@ims.example>;tag=r", "To: "+alice, "Call-ID: reg", "CSeq: 1 REGISTER",
		"Expires: 600", "P-Associated-URI: "+alice+", <tel:+49-30>")
	s.server.await(s.t, "REGISTER")
}

// subscribe sends a SUBSCRIBE of alice to bob, and gives the NOTIFY that follows.
func (s *sidecar) subscribe(callID string) (notify []string) {
	s.t.Helper()
	s.core.request(s.t, s.coreSide, "SUBSCRIBE sip:bob@ims.example", "From: "+alice+";tag=a", "To: <sip:bob@ims.example>", "Call-ID: "+callID, "CSeq: 1 SUBSCRIBE",
		"Event: presence", "Expires: 600", "P-Asserted-Identity: "+alice, "User-Agent: Phone/1.2 (desk)")
	notify = []string{
		"NOTIFY " + s.core.uri(), "From: <sip:bob@ims.example>;tag=here", "To: " + alice + ";tag=a", "Call-ID: " + callID, "CSeq: 1 NOTIFY",
		"Event: presence", "Subscription-State: active;expires=600",
	}
	for line := range strings.SplitSeq(s.server.await(s.t, "SUBSCRIBE"), "\r\n") {
		if route, ok := strings.CutPrefix(line, "Record-Route:"); ok {
			notify = append(notify, "Route:"+route)
		}
	}
	return notify
}

// TestOperator: whoever operates rewatch sees what it does and changes it at run time; each
// change is audited.
func TestOperator(t *testing.T) {
	level := zerolog.GlobalLevel()
	t.Cleanup(func() { zerolog.SetGlobalLevel(level) })
	ok := func(string) string { return "200 OK" }
	path := filepath.Join(t.TempDir(), "audit")
	s := runSidecar(t, newElement(t, func(method string) string {
		if method == "NOTIFY" {
			return "480 Temporarily Unavailable"
		}
		return "200 OK"
	}), newElement(t, ok), cli.Environ{"REWATCH_AUDIT": path})

	s.shows("/readyz", "server")
	s.register()
	notify := s.subscribe("call-1")
	s.shows("/api/v1/clients", `"family": "Phone"`)
	s.shows("/api/v1/clients", `"subscriptions": 1`)
	s.server.request(t, s.serverSide, notify...)
	s.core.await(t, "MESSAGE")
	s.shows("/api/v1/clients", `"failures": 1`)
	s.shows("/api/v1/watchers/tel:+4930", `"tries": 1`) // by another identity of the user
	s.shows("/api/v1/recoveries", "sip:alice@ims.example")

	for _, c := range []struct {
		method, path, body string
		status             int
		then, want         string
	}{
		{"PUT", "/api/v1/hold", `{"reason":"maintenance"}`, 200, "/api/v1/hold", "maintenance"},
		{"GET", "/metrics", "", 200, "/metrics", `rewatch_mode{mode="held-by-hand"} 1`},
		{"DELETE", "/api/v1/hold?hop=192.0.2.1:5060", "", 404, "/api/v1/hold", "maintenance"},
		{"DELETE", "/api/v1/hold", "", 200, "/metrics", `rewatch_mode{mode="held-by-hand"} 0`},
		{"DELETE", "/api/v1/hold", "", 404, "/api/v1/hold", `"items": []`},
		{"PUT", "/api/v1/dry-run", `{"on":true}`, 200, "/metrics", `rewatch_mode{mode="dry-run"} 1`},
		{"PUT", "/api/v1/dry-run", `{"on":false}`, 200, "/metrics", `rewatch_mode{mode="normal"} 1`},
		{"PUT", "/api/v1/log-level", `{"level":"debug"}`, 200, "/api/v1/log-level", "debug"},
		{"PUT", "/api/v1/log-level", `{"level":"loud"}`, 400, "/api/v1/log-level", "debug"},
		{"POST", "/api/v1/watchers/sip:nobody@ims.example/reset", "", 404, "/api/v1/summary", "{"},
		{"POST", "/api/v1/watchers/tel:+49-30/reset", "", 200, "/api/v1/alarms", `"items": []`},
		{"POST", "/api/v1/watchers/sip:nobody@ims.example/unban", "", 404, "/api/v1/summary", "{"},
	} {
		if status, text := s.ask(c.method, c.path, c.body); status != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, status, text, c.status)
		}
		s.shows(c.then, c.want)
	}
	s.stop()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"action":"hold"`, "maintenance", `"action":"dry-run"`, `"action":"log-level"`, `"action":"reset","user":"sip:alice@ims.example"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("not audited: %s in\n%s", want, text)
		}
	}
}

// TestStartedAgain: what was known of users, hosts and alarms outlives the process. A MESSAGE
// of its own that comes back is answered, and tells of a routing fault.
func TestStartedAgain(t *testing.T) {
	answer := func(method string) string {
		if method == "NOTIFY" {
			return "480 Temporarily Unavailable"
		}
		return "200 OK"
	}
	vars := cli.Environ{
		"REWATCH_STATE": "file:" + filepath.Join(t.TempDir(), "state"), "REWATCH_REGISTER_FALLBACK": "true", "REWATCH_REDELIVER": "1h",
	}
	core, server := newElement(t, answer), newElement(t, answer)
	s := runSidecar(t, core, server, vars)
	s.register()
	notify := s.subscribe("call-1")
	s.shows("/api/v1/subscriptions", "call-1")
	s.server.request(t, s.serverSide, notify...)
	s.core.await(t, "NOTIFY")
	s.shows("/api/v1/summary", `"kept": 1`)
	s.shows("/metrics", "rewatch_state_pending 0")
	s.stop()

	s = runSidecar(t, core, server, vars)
	s.shows("/api/v1/watchers/sip:alice@ims.example", `"registered": true`)
	s.shows("/api/v1/watchers", "sip:alice@ims.example")
	message := s.core.await(t, "MESSAGE") // what was kept is lost with the process, and has failed
	if !strings.Contains(message, "Attempt: 1 of 3") {
		t.Errorf("the MESSAGE is\n%s", message)
	}
	head, _, _ := strings.Cut(message, "\r\n\r\n")
	var lines []string
	for line := range strings.SplitSeq(head, "\r\n") {
		switch name, _, _ := strings.Cut(strings.ToLower(line), ":"); name {
		case "content-length", "max-forwards", "route", "contact":
		default:
			lines = append(lines, strings.TrimSuffix(line, " SIP/2.0"))
		}
	}
	s.core.request(t, s.coreSide, lines...)
	s.shows("/metrics", `rewatch_refused_total{reason="own"} 1`)
}
