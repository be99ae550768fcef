package sidecar

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
)

// shownMetrics lists what /metrics shows, without the prefix rewatch_.
func shownMetrics(t *testing.T) []string {
	t.Helper()
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
	w := httptest.NewRecorder()
	p.admin.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/metrics", nil))
	names := []string{"certificate_expiry_seconds"} // of a tls:// listener
	for line := range strings.Lines(w.Body.String()) {
		if name, ok := strings.CutPrefix(line, "# TYPE rewatch_"); ok {
			name, _, _ = strings.Cut(name, " ")
			names = append(names, name)
		}
	}
	if len(names) < 30 {
		t.Errorf("%d metrics are shown", len(names))
	}
	return names
}

// TestREADMEMetrics: whatever /metrics shows is in the table of package admin.
func TestREADMEMetrics(t *testing.T) {
	readme, err := os.ReadFile("../admin/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range shownMetrics(t) {
		if !strings.Contains(string(readme), "rewatch_"+name) {
			t.Errorf("no word of rewatch_%s", name)
		}
	}
}

// TestDashboard: the dashboard shows whatever /metrics shows, and asks for nothing else.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../../docker/prometheus/rewatch-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	asked := map[string]string{}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			for _, m := range metricName.FindAllStringSubmatch(target.Expr, -1) {
				asked[strings.TrimSuffix(m[1], "_bucket")] = panel.Title
			}
		}
	}
	for _, name := range shownMetrics(t) {
		if _, ok := asked[name]; !ok {
			t.Errorf("no panel shows rewatch_%s", name)
		}
		delete(asked, name)
	}
	for name, title := range asked {
		t.Errorf("%q asks for rewatch_%s, which there is not", title, name)
	}
}

var metricName = regexp.MustCompile(`\brewatch_([a-z_]+)`)
