package sidecar

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
)

// builtProcess is a process that is built and not run.
func builtProcess(t *testing.T) *process {
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
	t.Cleanup(func() {
		p.proxy.Shutdown()
		_, _ = p.closeAdmin(), p.memory.close()
	})
	return p
}

// shownMetrics lists what /metrics shows, without the prefix rewatch_.
func shownMetrics(t *testing.T, p *process) []string {
	t.Helper()
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
	for _, name := range shownMetrics(t, builtProcess(t)) {
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
	for _, name := range shownMetrics(t, builtProcess(t)) {
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

// described lists what is registered, whether it has a series yet or not.
func described(reg *prometheus.Registry) []string {
	descs := make(chan *prometheus.Desc)
	go func() {
		reg.Describe(descs)
		close(descs)
	}()
	var names []string
	for d := range descs {
		if m := fqName.FindStringSubmatch(d.String()); m != nil {
			names = append(names, m[1])
		}
	}
	return names
}

var fqName = regexp.MustCompile(`fqName: "rewatch_(\w+)"`)

// TestEveryMetricHasASeries: what is counted is there before it counts anything, so that
// an alert sees the first event as an increase. A vector without a series is not shown.
func TestEveryMetricHasASeries(t *testing.T) {
	p := builtProcess(t)
	shown := shownMetrics(t, p)
	for _, name := range described(p.registry) {
		if !slices.Contains(shown, name) {
			t.Errorf("rewatch_%s has no series at the start", name)
		}
	}
}
