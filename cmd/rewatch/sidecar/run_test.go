package sidecar

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
)

// lines keeps what is logged, and lets a test wait for something in it.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	select {
	case l.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *lines) await(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		text := l.text.String()
		l.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-l.more:
		case <-deadline:
			t.Fatalf("%q is not logged:\n%s", want, text)
		}
	}
}

// freePort is a port of this machine that nobody has.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// TestRun starts everything with a state file that cannot be read, asks the admin port,
// changes something, and stops: the alarm is told, the change is audited.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	state, audit := filepath.Join(dir, "state.db"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(state, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer hook.Close()
	admin := fmt.Sprint("127.0.0.1:", freePort(t))
	cfg, err := config.Load(cli.Environ{
		"REWATCH_SERVER": "sip:127.0.0.1:5070;transport=udp", "REWATCH_CORE": "sip:127.0.0.1:5080;transport=udp",
		"REWATCH_LISTEN": "udp://127.0.0.1:0", "REWATCH_SERVER_LISTEN": "udp://127.0.0.1:0",
		"REWATCH_ADMIN_LISTEN": admin, "REWATCH_ADMIN_TOKEN": "let-me-in", "REWATCH_STATE": "file:" + state, "REWATCH_AUDIT": audit,
		"REWATCH_ALARM_WEBHOOK": hook.URL, "REWATCH_DRAIN": "0s", "REWATCH_LOG_USERS": "pseudonym", "REWATCH_LOG_USERS_KEY": "0123456789abcdef",
		"REWATCH_DEREGISTER_HOOK": "DELETE http://127.0.0.1:1/{aor}", "REWATCH_HEADERS": "Feature-Caps: *;+g.x",
	})
	if err != nil {
		t.Fatal(err)
	}
	out := &lines{more: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, Reload{}, out) }()
	out.await(t, "rewatch runs")
	out.await(t, `"alarm":"state-lost"`)
	for _, path := range []string{"/metrics", "/healthz", "/api/v1/alarms", "/api/v1/watchers", "/api/v1/subscriptions", "/api/v1/recoveries", "/api/v1/summary"} {
		resp, err := http.Get("http://" + admin + path)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %v, %v", path, resp, err)
			continue
		}
		_ = resp.Body.Close()
	}
	resp, err := http.Get("http://" + admin + "/api/v1/watchers/sip:nobody@ims.example")
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("%v, %v", resp, err)
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+admin+"/api/v1/watchers/sip:nobody@ims.example/unban", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer let-me-in")
	if resp, err = http.DefaultClient.Do(req); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("unban of nobody: %v, %v", resp, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if found, _ := filepath.Glob(state + ".unreadable-*"); len(found) != 1 {
		t.Errorf("moved aside: %v", found)
	}
	if info, err := os.Stat(audit); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// What cannot be had stops the start with an error that names the variable.
func TestStartFails(t *testing.T) {
	text := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(text, []byte("my notes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for variable, value := range map[string]string{
		"REWATCH_STATE": "file:" + text, "REWATCH_AUDIT": filepath.Join(text, "audit"),
		"REWATCH_LISTEN": "udp://127.0.0.1:0,udp://" + taken.LocalAddr().String(),
	} {
		cfg, err := config.Load(cli.Environ{
			"REWATCH_SERVER": "sip:127.0.0.1:5070", "REWATCH_LISTEN": "udp://127.0.0.1:0", "REWATCH_SERVER_LISTEN": "udp://127.0.0.1:0",
			"REWATCH_ADMIN_LISTEN": "off", variable: value,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := Run(t.Context(), cfg, Reload{}, &lines{more: make(chan struct{}, 1)}); err == nil || !strings.Contains(err.Error(), variable+": ") {
			t.Errorf("%s: %v", variable, err)
		}
	}
}
