//go:build integration

// Package docker_test builds the image and runs it.
package docker_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mostBytes is what the image may have on scratch; distroless adds 2 MB.
const mostBytes = 20_000_000

// docker runs a command of Docker and returns what it prints.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// shell runs a script and returns what it prints.
func shell(t *testing.T, script string, args ...string) string {
	t.Helper()
	out, err := exec.Command("sh", append([]string{"-euc", script, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// buildImage is an image with Go: BUILD_IMAGE if it is named, else one made of this
// machine's Go, shell and modules, for where there is no registry.
func buildImage(t *testing.T) string {
	t.Helper()
	if image := os.Getenv("BUILD_IMAGE"); image != "" {
		return image
	}
	const image = "rewatch-test/golang"
	dir := t.TempDir()
	// The modules of this project alone, out of what this machine has downloaded.
	shell(t, `from="file://$(go env GOMODCACHE)/cache/download"
		GOMODCACHE="$1/mod" GOPROXY="$from" GOSUMDB=off GOFLAGS=-modcacherw go mod download
		mkdir "$1/tree"
		cp -rL "$(go env GOROOT)" "$1/tree/go"
		mkdir -p "$1/tree/bin" "$1/tree/tmp" "$1/tree/mod"
		mv "$1/mod/cache/download" "$1/tree/mod/"
		for program in sh mkdir; do
			cp -L "$(command -v $program)" "$1/tree/bin/"
			ldd "$(command -v $program)" | grep -o '/[^ ]*' | while read -r lib; do
				mkdir -p "$1/tree$(dirname "$lib")"
				cp -L "$lib" "$1/tree$lib"
			done
		done
		tar -C "$1/tree" -c . | docker import --change 'ENV PATH=/go/bin:/bin' --change 'ENV GOPROXY=file:///mod/download' \
			--change 'ENV GOSUMDB=off' --change 'ENV GOROOT=/go' --change 'ENV HOME=/tmp' - `+image, dir)
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", image).Run() })
	return image
}

// makeImage is an image that make image makes, and its tag. It runs as nobody's user, and
// has a volume.
func makeImage(t *testing.T, build, run string) (image, tag string) {
	t.Helper()
	tag = fmt.Sprintf("v0.0.%d", os.Getpid()) // the same for all, so that Docker compiles once
	name := fmt.Sprintf("rewatch-test/on-%x", run)
	image = name + ":" + tag
	made := exec.Command("make", "-C", "..", "image", "IMAGE="+name, "VERSION="+tag, "BUILD_IMAGE="+build, "RUN_IMAGE="+run)
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("make image: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", image).Run() })
	if got := docker(t, "image", "inspect", "-f", "{{.Config.User}} {{.Config.Volumes}}", image); got != "65532:65532 map[/var/lib/rewatch:{}]" {
		t.Errorf("user and volumes: %s", got)
	}
	return image, tag
}

// onDistroless builds on RUN_IMAGE if it is named, else on one that has what distroless
// static has (users, CA certificates, time zones), for where there is no registry.
func onDistroless(t *testing.T, build string) {
	t.Helper()
	run := os.Getenv("RUN_IMAGE")
	if run == "" {
		run = "rewatch-test/static"
		shell(t, `mkdir -p "$1/etc/ssl/certs" "$1/usr/share" "$1/home/nonroot" "$1/tmp"
			printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' > "$1/etc/passwd"
			printf 'root:x:0:\nnonroot:x:65532:\n' > "$1/etc/group"
			cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
			cp -rL /usr/share/zoneinfo "$1/usr/share/"
			tar -C "$1" -c . | docker import --change 'USER 65532' --change 'WORKDIR /home/nonroot' --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' - `+run, t.TempDir())
		t.Cleanup(func() { _ = exec.Command("docker", "rmi", run).Run() })
	}
	image, tag := makeImage(t, build, run)
	if got := docker(t, "run", "--rm", "--network", "none", image, "version"); !strings.HasPrefix(got, "rewatch "+tag) {
		t.Errorf("on %s it says %q", run, got)
	}
	// The user of the base image may write the volume, too.
	out := docker(t, "run", "--rm", "--network", "none", "-e", "REWATCH_SERVER=sip:127.0.0.1:5070", "-e", "REWATCH_STATE=file:/var/lib/rewatch/state.db", image, "check")
	if !strings.Contains(out, "The configuration is good.") {
		t.Errorf("on %s: %s", run, out)
	}
}

// TestImage: make image gives a small image whose user is not root and may write the
// volume of the state, and Docker sees whether it is healthy.
func TestImage(t *testing.T) {
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		t.Skipf("no Docker here: %v\n%s", err, out)
	}
	build := buildImage(t)
	image, tag := makeImage(t, build, "scratch")
	name := "rewatch-test-image-" + tag
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "-fv", name).Run() })
	var size int
	if _, err := fmt.Sscan(docker(t, "image", "inspect", "-f", "{{.Size}}", image), &size); err != nil || size > mostBytes {
		t.Errorf("the image has %d bytes, at most %d are meant: %v", size, mostBytes, err)
	}
	t.Logf("%d bytes", size)
	if got := docker(t, "run", "--rm", "--network", "none", image, "version"); !strings.HasPrefix(got, "rewatch "+tag) {
		t.Errorf("it says %q", got)
	}
	onDistroless(t, build)

	docker(t, "run", "-d", "--name", name, "--network", "none", "--read-only", "--cap-drop", "ALL",
		"--health-interval", "1s", "-e", "REWATCH_STATE=file:/var/lib/rewatch/state.db",
		"-e", "REWATCH_SERVER=sip:127.0.0.1:5070;transport=udp", "-e", "REWATCH_DRAIN=1s", image)
	for end := time.Now().Add(30 * time.Second); docker(t, "inspect", "-f", "{{.State.Health.Status}}", name) != "healthy"; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not healthy\n%s\n%s", docker(t, "inspect", "-f", "{{json .State}}", name), docker(t, "logs", name))
		}
	}
	out, err := exec.Command("docker", "exec", name, "/usr/local/bin/rewatch", "health", "-ready").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "wait server") {
		t.Errorf("without a server it is ready: %v\n%s", err, out)
	}
	docker(t, "stop", "-t", "10", name)
	if got := docker(t, "inspect", "-f", "{{.State.ExitCode}}", name); got != "0" {
		t.Errorf("it ends with %s\n%s", got, docker(t, "logs", name))
	}
	copied := filepath.Join(t.TempDir(), "state.db")
	docker(t, "cp", name+":/var/lib/rewatch/state.db", copied)
	if st, err := os.Stat(copied); err != nil || st.Size() == 0 {
		t.Errorf("no state was kept: %v", err)
	}
}
