package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestREADMEMetrics: whatever /metrics shows is in the table of the README.
func TestREADMEMetrics(t *testing.T) {
	cfg, err := loadConfig(with(
		"REWATCH_LISTEN", "udp://127.0.0.1:0,tcp://127.0.0.1:0", "REWATCH_SERVER_LISTEN", "udp://127.0.0.1:0",
		"REWATCH_ADMIN_LISTEN", "127.0.0.1:0", "REWATCH_STATE", "file:"+t.TempDir()+"/state",
	))
	if err != nil {
		t.Fatal(err)
	}
	p := &sidecarProcess{cfg: cfg, log: zerolog.New(io.Discard)}
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
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(askAdmin(p.admin.Handler(), "GET", "/metrics").Body.String()) {
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
