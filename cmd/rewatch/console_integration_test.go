//go:build integration

package main

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// TestConsoleInBrowser opens the console in a real browser and reads the page
// that its script made. With CONSOLE_SHOTS=dir it leaves pictures there.
func TestConsoleInBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	page := func(b *fakeBackend) string {
		server := httptest.NewServer(NewAdmin(AdminConfig{Token: "t"}, b, fakeMetrics(), zerolog.Nop()).Handler())
		t.Cleanup(server.Close)
		return server.URL
	}
	busy, calm := page(busyBackend(time.Now())), page(&fakeBackend{ready: []Condition{{Name: "listeners", OK: true}}})
	browse := func(args ...string) string {
		args = append([]string{
			"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
			"--user-data-dir=" + t.TempDir(), "--virtual-time-budget=3500",
		}, args...)
		cmd := exec.Command(chromium, args...)
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("chromium: %v", err)
		}
		return string(out)
	}

	dom := browse("--dump-dom", busy+"/#8")
	for _, text := range []string{"sip:alice@ims.example", "MESSAGE 1 of 3", "1\u202f203\u202f456", "Ready", "&lt;script&gt;", "no response after 28s", "Lift the ban"} {
		if !strings.Contains(dom, text) {
			t.Errorf("the page does not show %q", text)
		}
	}
	for _, text := range []string{"<script>alert", "<img src=\"x\"", "<b>presence", "pwned</title>"} {
		if strings.Contains(dom, text) {
			t.Errorf("the page has taken %q for markup", text)
		}
	}
	if dom := browse("--dump-dom", calm); !strings.Contains(dom, "Nothing is broken. Every NOTIFY gets through.") {
		t.Error("an idle rewatch does not say that all is well")
	}

	dir := os.Getenv("CONSOLE_SHOTS")
	if dir == "" {
		return
	}
	for name, args := range map[string][]string{
		"wide":     {"--window-size=1280,1500", busy + "/#6"},
		"dark":     {"--window-size=1280,1100", "--blink-settings=preferredColorScheme=0", busy + "/#7"},
		"phone":    {"--window-size=500,2400", busy + "/#7"},
		"calm":     {"--window-size=1280,800", calm},
		"notready": {"--window-size=900,700", page(&fakeBackend{ready: []Condition{{Name: "server", Detail: "sip:127.0.0.1:5070 does not answer"}}})},
	} {
		browse(append([]string{"--screenshot=" + filepath.Join(dir, name+".png")}, args...)...)
	}
}
