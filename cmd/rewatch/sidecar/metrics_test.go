package sidecar

import (
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
)

// TestREADMEMetrics: whatever /metrics shows is in the table of package admin.
func TestREADMEMetrics(t *testing.T) {
	cfg, err := config.Load(cli.Environ{
		"REWATCH_SERVER": "sip:127.0.0.1:5070;transport=udp",
		"REWATCH_LISTEN": "udp://127.0.0.1:0,tcp://127.0.0.1:0", "REWATCH_SERVER_LISTEN": "udp://127.0.0.1:0",
		"REWATCH_ADMIN_LISTEN": "127.0.0.1:0", "REWATCH_STATE": "file:" + t.TempDir() + "/state",
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cfg: cfg, log: zerolog.New(io.Discard)}
	if p.memory, err = openMemory(cfg); err != nil {
		t.Fatal(err)
	}
	if err := p.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		p.proxy.Shutdown()
		_, _ = p.closeAdmin(), p.memory.close()
	}()
	readme, err := os.ReadFile("../admin/README.md")
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	p.admin.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/metrics", nil))
	n := 0
	for line := range strings.Lines(w.Body.String()) {
		name, ok := strings.CutPrefix(line, "# TYPE rewatch_")
		if !ok {
			continue
		}
		n++
		if name, _, _ = strings.Cut(name, " "); !strings.Contains(string(readme), "rewatch_"+name) {
			t.Errorf("no word of rewatch_%s", name)
		}
	}
	if n < 30 {
		t.Errorf("%d metrics are shown", n)
	}
}
