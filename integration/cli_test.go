//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestCommandLine runs the scripts in testdata: what a person types, and what they
// is told. "rewatch" is the binary under test.
func TestCommandLine(t *testing.T) {
	path, err := filepath.Abs(binary)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(path, filepath.Join(dir, "rewatch")); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
			return nil
		},
	})
}

// TestPortInUse: the port is taken, and rewatch says which, in one line.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startNotifier()
	s.peer("squatter", 30, 5060, nil)
	r := s.launchRewatch(env{"REWATCH_LOG_FORMAT": "console", "REWATCH_LOG_LEVEL": "error"})
	if err := r.wait(patience); err == nil {
		t.Error("rewatch ended with status 0")
	}
	out := strings.TrimSpace(r.output())
	if !strings.Contains(out, s.coreSide()) || !strings.Contains(out, "in use") {
		t.Errorf("it does not say which port is in use:\n%s", out)
	}
	if lines := strings.Count(out, "\n") + 1; lines > 2 {
		t.Errorf("%d lines where one says it all:\n%s", lines, out)
	}
}

// TestUnresolvableServer: a server name that does not exist stops the start, or
// keeps it unready, but never leaves the operator guessing.
func TestUnresolvableServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.launchRewatch(env{"REWATCH_SERVER": "sip:no-such-host.invalid:5070"})
	if err := r.wait(2 * patience); err == nil {
		t.Error("rewatch ended with status 0")
	}
	if out := r.output(); !strings.Contains(out, "no-such-host.invalid") {
		t.Errorf("it does not name the host:\n%s", out)
	}
}
