//go:build integration

package debian_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHighAvailability goes through the guide for two machines with a virtual address.
// The active one is killed while a phone watches; the other takes over, knows the
// subscription, and its NOTIFY gets through.
func TestHighAvailability(t *testing.T) {
	network := fmt.Sprintf("rewatch-test-%d", os.Getpid())
	if out, err := exec.Command("docker", "network", "create", "--internal", "--subnet", "10.0.0.0/24", "--gateway", "10.0.0.1", network).CombinedOutput(); err != nil {
		t.Skipf("no network of Docker here: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "network", "rm", network).Run() })
	at := func(name, address string) *machine {
		return newMachine(t, name, "--network", network, "--ip", address)
	}
	core, server := at("core", "10.0.0.20"), at("server", "10.0.0.40")
	startCore(t, core)
	startServer(t, server)
	pair := []*machine{at("a", "10.0.0.31"), at("b", "10.0.0.32")}
	content, name := buildPackage(t, "1.0.0")
	for _, m := range pair {
		m.put(name, content)
		for _, block := range guide(t, "../high-availability.md") {
			m.run(block)
		}
	}

	active := func() int {
		holder := -1
		for i, m := range pair {
			if strings.Contains(m.try("ip -brief address"), "10.0.0.30/") {
				if holder >= 0 {
					return -1 // both, for a moment
				}
				holder = i
			}
		}
		return holder
	}
	ready := func() bool {
		return core.try("curl -sm2 -o /dev/null -w '%{http_code}' http://10.0.0.30:9090/readyz") == "200"
	}
	core.eventually("one of the pair has the address and is ready", func() bool { return active() >= 0 && ready() })
	first := active()
	if got := pair[1-first].try("systemctl is-active rewatch"); got == "active\n" {
		t.Error("rewatch runs on the standby too")
	}

	core.background("sipp", "10.0.0.20:5060", "-nostdin", "-m", "1", "-sf", "phone.xml", "-oocsf", "phone-message.xml",
		"-default_behaviors", "all,-bye,-abortunexp", "-i", "10.0.0.50", "-p", "5060", "-key", "user", "alice", "-key", "buddy", "bob",
		"-trace_msg", "-message_file", "alice.sip")
	core.eventually("alice watches", func() bool { return core.metricOf("10.0.0.30", "rewatch_subscriptions") == "1" })
	publish := func(note string) {
		core.run("sipp 10.0.0.20:5060 -m 1 -nostdin -timeout 20s -sf publish.xml -i 10.0.0.51 -p 5060 -key user bob -key basic open -key note " + note + " >/dev/null 2>&1")
		core.eventually("alice is told of "+note, func() bool { return strings.Contains(core.try("cat alice.sip"), "<note>"+note+"</note>") })
	}
	publish("before")
	// What was learnt is written behind; the machine dies without a last word.
	server.eventually("the subscription is in Redis", func() bool { return strings.Contains(server.try("redis-cli -h 10.0.0.40 --scan"), "rewatch") })
	if out, err := exec.Command("docker", "kill", pair[first].name).CombinedOutput(); err != nil {
		t.Fatalf("docker kill: %v\n%s", err, out)
	}
	core.eventually("the other one has taken over", func() bool { return ready() })
	if got := core.metricOf("10.0.0.30", "rewatch_subscriptions"); got != "1" {
		t.Errorf("the one that took over knows %s subscriptions, want 1", got)
	}
	publish("after")
	core.eventually("the NOTIFY is judged", func() bool {
		return core.metricOf("10.0.0.30", `rewatch_notify_total{event="presence",result="ok"}`) == "1"
	})
	if got := core.metricOf("10.0.0.30", `rewatch_notify_total{event="presence",result="failed"}`); got != "0" {
		t.Errorf("%s NOTIFYs failed", got)
	}
}

// lab puts files of the lab on a machine.
func lab(t *testing.T, m *machine, files ...string) {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("..", "lab", file))
		if err != nil {
			t.Fatal(err)
		}
		m.put(filepath.Base(file), []byte(strings.ReplaceAll(string(text), ` retrans="500"`, "")))
	}
}

// startCore starts the lab's core; phones have addresses of the same machine.
func startCore(t *testing.T, m *machine) {
	t.Helper()
	lab(t, m, "kamailio-core.cfg", "sipp/phone.xml", "sipp/phone-message.xml", "sipp/publish.xml")
	m.run(`systemctl stop kamailio
		ip address add 10.0.0.50/24 dev eth0
		ip address add 10.0.0.51/24 dev eth0
		mkdir -p core
		cat > core/core.cfg <<'CFG'
#!KAMAILIO
#!substdef "!CORE_IP!10.0.0.20!g"
#!substdef "!AS_IP!10.0.0.30!g"
#!substdef "!AS_PORT!5060!g"
#!substdef "!RUN_DIR!` + home + `/core!g"
include_file "` + home + `/kamailio-core.cfg"
CFG`)
	m.background("kamailio", "-DD", "-E", "-m", "32", "-M", "4", "-f", home+"/core/core.cfg", "-w", home+"/core", "-Y", home+"/core")
}

// startServer starts the lab's presence server, in memory, and a Redis.
func startServer(t *testing.T, m *machine) {
	t.Helper()
	lab(t, m, "kamailio-presence.cfg")
	m.run(`systemctl stop kamailio
		mkdir -p server
		cat > server/server.cfg <<'CFG'
#!KAMAILIO
#!define NO_DATABASE
#!substdef "!SERVER_IP!10.0.0.40!g"
#!substdef "!RUN_DIR!` + home + `/server!g"
include_file "` + home + `/kamailio-presence.cfg"
CFG`)
	m.background("kamailio", "-DD", "-E", "-m", "32", "-M", "4", "-f", home+"/server/server.cfg", "-w", home+"/server", "-Y", home+"/server")
	m.background("redis-server", "--bind", "10.0.0.40", "--protected-mode", "no", "--save", "")
}
