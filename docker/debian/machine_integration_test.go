//go:build integration

// Package debian_test installs the package on a Debian machine with systemd, as an
// operator does, and goes through the guide for an office there.
package debian_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// installed is what the machine has beside a minimal Debian 12: what the guide asks for,
// and phones.
var installed = []string{
	"systemd", "systemd-sysv", "dbus", "kamailio", "kamailio-presence-modules", "kamailio-sqlite-modules",
	"kamailio-extra-modules", "sip-tester", "sqlite3", "curl", "procps", "iproute2", "man-db", "keepalived", "redis-server",
}

// patience is how long a fact may take.
const patience = 60 * time.Second

// machine is a container with systemd.
type machine struct {
	t    *testing.T
	name string
}

// newMachine boots one in a network of Docker, or skips the test where that cannot be
// done.
func newMachine(t *testing.T, name string, network ...string) *machine {
	t.Helper()
	m := &machine{t: t, name: fmt.Sprintf("rewatch-test-%d-%s", os.Getpid(), name)}
	args := append([]string{"run", "-d", "--name", m.name}, network...)
	args = append(args, "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN",
		"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
		"--cgroupns=host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw",
		"--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp", "-e", "container=docker",
		baseImage(t), "/lib/systemd/systemd")
	if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
		t.Skipf("no container with systemd here: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal of %s:\n%s", name, m.try("journalctl -u rewatch -u kamailio -u keepalived --no-pager | tail -40"))
		}
		_ = exec.Command("docker", "rm", "-f", m.name).Run()
	})
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		state := strings.TrimSpace(m.try("systemctl is-system-running"))
		if state == "running" || state == "degraded" {
			return m
		}
		if time.Now().After(end) {
			t.Skipf("systemd does not come up in a container here: %q", state)
		}
	}
}

// baseImage is the name of the image of the machine. It is made by debootstrap when it
// is missing, which takes some minutes, and kept.
func baseImage(t *testing.T) string {
	t.Helper()
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		t.Skipf("no Docker here: %v\n%s", err, out)
	}
	sum := sha256.Sum256([]byte(strings.Join(installed, " ")))
	image := fmt.Sprintf("rewatch-test/debian:bookworm-%x", sum[:4])
	if exec.Command("docker", "image", "inspect", image).Run() == nil {
		return image
	}
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if _, err := exec.LookPath("debootstrap"); err != nil || os.Geteuid() != 0 {
		t.Skip("no root with debootstrap here, which would make the machine's image; docker/lab/install.sh installs it")
	}
	mirror := os.Getenv("DEBIAN_MIRROR")
	if mirror == "" {
		mirror = "http://deb.debian.org/debian"
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // It becomes the root of a machine.
		t.Fatal(err)
	}
	t.Logf("making %s from %s", image, mirror)
	out, err := exec.Command("debootstrap", "--variant=minbase", "--include="+strings.Join(installed, ","), "bookworm", dir, mirror).CombinedOutput()
	if err != nil {
		t.Skipf("debootstrap: %v\n%s", err, lastLines(out, 5))
	}
	tar := exec.Command("sh", "-c", `tar -C "$0" -c . | docker import - "$1"`, dir, image)
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	return image
}

func lastLines(text []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// home is where everything on a machine is run and put.
const home = "/root"

// run runs a script there and returns what it prints; a failure ends the test.
func (m *machine) run(script string) string {
	m.t.Helper()
	cmd := exec.Command("docker", "exec", "-i", "-w", home, m.name, "sh", "-eu")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return string(out)
}

// try runs a command and returns what it prints, whatever becomes of it.
func (m *machine) try(script string) string {
	out, _ := exec.Command("docker", "exec", "-w", home, m.name, "sh", "-c", script).CombinedOutput()
	return string(out)
}

// background starts a command that goes on.
func (m *machine) background(argv ...string) {
	m.t.Helper()
	args := append([]string{"exec", "-d", "-w", home, m.name}, argv...)
	if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
		m.t.Fatalf("%q: %v\n%s", argv, err, out)
	}
}

// put writes a file there.
func (m *machine) put(name string, content []byte) {
	m.t.Helper()
	cmd := exec.Command("docker", "exec", "-i", m.name, "sh", "-c", `cat > "$0"`, home+"/"+name)
	cmd.Stdin = bytes.NewReader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("put %s: %v\n%s", name, err, out)
	}
}

// metric is the value of one series of a rewatch on this machine.
func (m *machine) metric(series string) string { return m.metricOf("127.0.0.1", series) }

// metricOf is that of a rewatch at an address.
func (m *machine) metricOf(address, series string) string {
	for line := range strings.Lines(m.try("curl -sm2 http://" + address + ":9090/metrics")) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func (m *machine) eventually(what string, fact func() bool) {
	m.t.Helper()
	for end := time.Now().Add(patience); !fact(); time.Sleep(300 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// buildPackage makes the package of a version and returns its content and name.
func buildPackage(t *testing.T, version string) (content []byte, name string) {
	t.Helper()
	dir := t.TempDir()
	name = "rewatch_" + version + ".deb"
	out, err := exec.Command("make", "-C", "../..", "deb", "VERSION=v"+version, "BIN="+filepath.Join(dir, "rewatch"),
		"DEB_DIR="+dir, "DEB="+filepath.Join(dir, name)).CombinedOutput()
	if err != nil {
		t.Fatalf("make deb: %v\n%s", err, out)
	}
	content, err = os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content, name
}
