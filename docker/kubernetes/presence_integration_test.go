//go:build integration

// Package kubernetes_test runs the presence server of the manifests.
package kubernetes_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPresenceServes: the configuration of base makes a presence server that takes a
// PUBLISH, and whose NOTIFY tells a watcher of it. The phone is SIPp's, without a core.
func TestPresenceServes(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	for _, tool := range []string{"kamailio", "sipp"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing; docker/lab/install.sh installs it", tool)
		}
	}
	dir, err := os.MkdirTemp("", "k8s") // short, for the sockets of Kamailio
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	net := fmt.Sprintf("127.%d.88", 32+os.Getpid()%200)
	base, err := filepath.Abs("base")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(base, "kamailio.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := filepath.Join(dir, "kamailio.cfg")
	here := strings.NewReplacer("127.0.0.1", net+".1", "/run/kamailio", dir, "/etc/kamailio", base).Replace(string(text))
	if err := os.WriteFile(cfg, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}

	var log bytes.Buffer
	server := exec.CommandContext(t.Context(), "kamailio", "-DD", "-E", "-f", cfg, "-m", "64", "-M", "8", "-w", dir, "-Y", dir)
	server.Stdout, server.Stderr = &log, &log
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Wait() }()
	defer func() { _ = server.Cancel() }()

	publish := func() error {
		return exec.Command("sipp", net+".1:5070", "-m", "1", "-nostdin", "-timeout", "2s", "-sf", "../lab/sipp/publish.xml",
			"-i", net+".3", "-p", "5060", "-key", "user", "bob", "-key", "basic", "open", "-key", "note", "in the pod").Run()
	}
	for end := time.Now().Add(20 * time.Second); publish() != nil; {
		if time.Now().After(end) {
			t.Fatalf("no PUBLISH was taken\n%s", &log)
		}
	}

	seen := filepath.Join(dir, "phone.sip")
	phone := exec.CommandContext(t.Context(), "sipp", net+".1:5070", "-m", "1", "-nostdin", "-sf", "../lab/sipp/phone.xml",
		"-default_behaviors", "all,-bye,-abortunexp", "-i", net+".2", "-p", "5060", "-key", "user", "alice", "-key", "buddy", "bob",
		"-trace_msg", "-message_file", seen)
	if err := phone.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = phone.Wait() }()
	defer func() { _ = phone.Process.Kill() }()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		messages, _ := os.ReadFile(seen)
		if bytes.Contains(messages, []byte("\nNOTIFY ")) && bytes.Contains(messages, []byte("<note>in the pod</note>")) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no NOTIFY with bob's presence:\n%s\n%s", messages, &log)
		}
	}
}
