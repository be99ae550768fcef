//go:build integration

package debian_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rewatch/cmd/rewatch/config"
)

// TestPackage goes through the guide for an office as it stands, with Debian's own
// Kamailio: install, configure, start. Then a NOTIFY fails and is recovered, the package
// is upgraded under a live subscription, and removed.
func TestPackage(t *testing.T) {
	m := newMachine(t, "office", "--network", "none")
	m.run("ip address add 10.0.0.5/32 dev lo")
	content, name := buildPackage(t, "1.0.0")
	m.put(name, content)
	for _, block := range guide(t, "../enterprise.md") {
		m.run(block)
	}
	checkFiles(t, m)
	for _, name := range []string{"ims", "rollout", "security"} {
		for _, block := range guide(t, "../"+name+".md") {
			m.run("mkdir -p " + name + "; cd " + name + "\n" + block)
		}
	}

	m.eventually("it is ready again", func() bool {
		return strings.HasPrefix(m.try("REWATCH_SERVER=sip:127.0.0.1:5070 rewatch health -ready"), "ready")
	})

	// A phone that takes no NOTIFY, until it has been told to subscribe again.
	phones(t, m)
	m.background("sipp", "10.0.0.5:5060", "-nostdin", "-m", "1", "-sf", "phone-refuses.xml", "-oocsf", "phone-message.xml",
		"-default_behaviors", "all,-bye,-abortunexp", "-i", "127.0.0.2", "-p", "5060", "-key", "user", "alice", "-key", "buddy", "bob")
	m.eventually("alice was told and watches again", func() bool {
		return m.metric(`rewatch_recoveries_total{result="recovered"}`) == "1"
	})
	if got := m.metric(`rewatch_messages_total{result="ok"}`); got != "1" {
		t.Errorf("%s MESSAGEs were taken, want 1", got)
	}

	commands(t, m)
	dropIns(t, m)
	upgrade(t, m)
	remove(t, m)
}

// said are the commands that the guides name in a sentence or indented; refused is what
// those say that have a name of the reader's to be filled in, or nothing to do here.
var (
	said    = regexp.MustCompile("(?m)(?:`|^    )(rewatch (?:ctl|env|help|health|simulate|check)[^`\n#]*)")
	refused = map[string]string{
		"rewatch ctl": `"ctl" takes a command`, "rewatch ctl resume ADDRESS": "the hop ADDRESS is not held",
	}
)

// commands runs every command of rewatch's own that a guide names.
func commands(t *testing.T, m *machine) {
	t.Helper()
	files, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	done := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range said.FindAllSubmatch(text, -1) {
			command := strings.TrimSpace(strings.ReplaceAll(string(match[1]), "ims.example", "office.example"))
			if done[command] {
				continue
			}
			done[command] = true
			out := m.try("set -a; . /etc/rewatch/rewatch.env; REWATCH_LOG_USERS=pseudonym REWATCH_LOG_USERS_KEY=0123456789abcdef; set +a; " + command + "; echo exit $?")
			want := "exit 0\n"
			if refused[command] != "" {
				want = refused[command]
			}
			if !strings.Contains(out, want) {
				t.Errorf("%s: %s says\n%s", file, command, out)
			}
		}
	}
	if len(done) < 10 {
		t.Errorf("%d commands were found", len(done))
	}
	m.run("set -a; . /etc/rewatch/rewatch.env; rewatch ctl resume; rewatch ctl dry-run off")
}

// guide is the commands of a guide: its blocks of sh.
func guide(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, block := range regexp.MustCompile("(?s)\n```sh\n(.*?)\n```\n").FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(block[1]))
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no block of commands", file)
	}
	return blocks
}

// checkFiles looks at what the package has brought.
func checkFiles(t *testing.T, m *machine) {
	t.Helper()
	if got := m.run("systemctl is-enabled rewatch; systemctl is-active rewatch"); got != "enabled\nactive\n" {
		t.Errorf("the service is %q", got)
	}
	if got := m.run("stat -c '%a %U' /etc/rewatch/rewatch.env; dpkg-query -W -f '${Conffiles}' rewatch"); !strings.HasPrefix(got, "600 root\n /etc/rewatch/rewatch.env ") {
		t.Errorf("the file of variables: %q", got)
	}
	file := m.run("cat /etc/rewatch/rewatch.env")
	for _, v := range config.Variables() {
		if !strings.Contains(file, "\n#"+v.Name+"=") {
			t.Errorf("%s is not in rewatch.env", v.Name)
		}
	}
	if page := m.run("man -P cat rewatch 2>&1"); !strings.Contains(page, "REWATCH_NOTIFY_TIMEOUT") {
		t.Errorf("the manual page:\n%s", page)
	}
	m.run("test -s /usr/share/snmp/mibs/REWATCH-MIB.txt; test -s /usr/share/doc/rewatch/enterprise.md; bash -n /usr/share/bash-completion/completions/rewatch")
	// As a user of its own, that may write its state and nothing else.
	status := m.run("cat /proc/$(systemctl show -P MainPID rewatch)/status; systemd-analyze security --no-pager rewatch.service | tail -1")
	for _, want := range []string{`CapEff:\s+0000000000000000\n`, `NoNewPrivs:\s+1\n`, `Seccomp:\s+2\n`, `Uid:\s+6[0-9]{4}\s`, `exposure level for rewatch.service: 1\.\d OK`} {
		if !regexp.MustCompile(want).MatchString(status) {
			t.Errorf("no %s in\n%s", want, status)
		}
	}
	m.run("test -f /var/lib/private/rewatch/state.db")
}

// dropIns tries what the package's page says of a port below 1024, and takes it back.
// Changes are asked with the token that the guide to security has set.
func dropIns(t *testing.T, m *machine) {
	t.Helper()
	m.run(`cp /etc/rewatch/rewatch.env before.env
		echo "REWATCH_LISTEN='udp://127.0.0.1:5066,udp://127.0.0.1:506'" >> /etc/rewatch/rewatch.env
		mkdir -p /etc/systemd/system/rewatch.service.d
		cat > /etc/systemd/system/rewatch.service.d/override.conf <<'UNIT'
[Service]
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
UNIT
		systemctl daemon-reload
		systemctl restart rewatch`)
	m.eventually("it is ready on a port below 1024", func() bool {
		return strings.HasPrefix(m.try("ss -lunH 'sport = 506' | grep -q 506 && REWATCH_SERVER=sip:127.0.0.1:5070 rewatch health -ready"), "ready")
	})
	const post = "curl -s -o /dev/null -w '%{http_code}' -X POST http://127.0.0.1:9090/api/v1/watchers/sip:nobody@office.example/reset"
	if got := m.try(post); got != "401" {
		t.Errorf("without the token: %s", got)
	}
	if got := m.try(post + ` -H "Authorization: Bearer $(cat security/secrets/admin-token)"`); got != "404" {
		t.Errorf("with the token, of a user whom nobody knows: %s", got)
	}
	m.run(`rm -r /etc/systemd/system/rewatch.service.d
		mv before.env /etc/rewatch/rewatch.env
		systemctl daemon-reload
		systemctl restart rewatch`)
	m.eventually("it is as before", func() bool { return m.metric("rewatch_subscriptions") == "1" })
}

// phones puts the scenarios of the lab's phones on the machine.
func phones(t *testing.T, m *machine) {
	t.Helper()
	for _, name := range []string{"phone.xml", "phone-refuses.xml", "phone-message.xml", "publish.xml"} {
		text, err := os.ReadFile(filepath.Join("..", "lab", "sipp", name))
		if err != nil {
			t.Fatal(err)
		}
		// SIPp answers nothing while a request of its own waits for its answer, and the
		// first NOTIFY may come before the 200: without retransmission it does not wait.
		m.put(name, []byte(strings.NewReplacer("ims.example", "office.example", ` retrans="500"`, "",
			"480 Temporarily Unavailable", "481 Subscription Does Not Exist").Replace(string(text))))
	}
}

// upgrade installs a newer package while a phone watches. The subscription is known
// afterwards, and its NOTIFY gets through.
func upgrade(t *testing.T, m *machine) {
	t.Helper()
	m.background("sipp", "10.0.0.5:5060", "-nostdin", "-m", "1", "-sf", "phone.xml", "-oocsf", "phone-message.xml",
		"-default_behaviors", "all,-bye,-abortunexp", "-i", "127.0.0.4", "-p", "5060", "-key", "user", "carol", "-key", "buddy", "bob")
	m.eventually("alice and carol watch", func() bool { return m.metric("rewatch_subscriptions") == "2" })
	m.run("cp /etc/rewatch/rewatch.env before.env")
	content, name := buildPackage(t, "1.0.1")
	m.put(name, content)
	m.run("apt-get install -y --no-install-recommends ./" + name)
	m.eventually("the new version is ready", func() bool {
		return m.metric(`rewatch_build_info{version="v1.0.1"}`) == "1" &&
			strings.HasPrefix(m.try("(set -a; . /etc/rewatch/rewatch.env; rewatch health -ready)"), "ready")
	})
	m.run("cmp before.env /etc/rewatch/rewatch.env")
	if got := m.metric("rewatch_subscriptions"); got != "2" {
		t.Errorf("%s subscriptions are known after the upgrade, want 2", got)
	}
	m.run(`sipp 10.0.0.5:5060 -m 1 -nostdin -timeout 5s -sf publish.xml -i 127.0.0.3 -p 5060 -key user bob -key basic open -key note back >/dev/null 2>&1`)
	m.eventually("the NOTIFYs to alice and carol got through", func() bool {
		return m.metric(`rewatch_notify_total{event="presence",result="ok"}`) == "2"
	})
	if got := m.metric(`rewatch_notify_total{event="presence",result="failed"}`); got != "0" {
		t.Errorf("%s NOTIFYs failed after the upgrade", got)
	}
}

// remove takes the package away: first with, then without what the operator wrote.
func remove(t *testing.T, m *machine) {
	t.Helper()
	m.run("apt-get remove -y rewatch")
	m.run("test ! -e /usr/bin/rewatch; test -f /etc/rewatch/rewatch.env; test -f /var/lib/private/rewatch/state.db; ! pgrep -x rewatch")
	m.run("apt-get purge -y rewatch")
	m.run("test ! -e /etc/rewatch; test ! -e /var/lib/rewatch; test ! -e /var/lib/private/rewatch")
	if got := m.try("systemctl is-enabled rewatch 2>&1"); !strings.Contains(got, "No such file") && !strings.Contains(got, "not-found") {
		t.Errorf("systemd still knows it: %q", got)
	}
}
