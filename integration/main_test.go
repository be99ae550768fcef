//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// binary is the rewatch under test, built once by TestMain.
var binary string

// tools are the programs that the tests cannot do without.
var tools = []string{
	"kamailio", "kamcmd", "sipp", "sqlite3", "baresip", "linphonec", "prometheus-alertmanager", "redis-server", "snmptrapd",
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// Debian keeps Kamailio in /usr/sbin, which is not in every user's PATH.
	_ = os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	var missing []string
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "integration: missing %s; docker/lab/install.sh installs what is needed\n", strings.Join(missing, ", "))
		return 1
	}

	// REWATCH_BINARY names a binary that is to be tested as it is.
	binary = os.Getenv("REWATCH_BINARY")
	if binary == "" {
		dir, err := os.MkdirTemp("", "rewatch-bin")
		if err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "rewatch")
		args := []string{"build", "-o", binary}
		if raceEnabled {
			args = append(args, "-race")
		}
		build := exec.Command("go", append(args, "rewatch/cmd/rewatch")...)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "integration: build rewatch:", err)
			return 1
		}
	}
	return m.Run()
}
