//go:build integration

// Package lab_test plays in the lab as a person does, by its commands.
package lab_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// patience is how long a fact may take. A NOTIFY without an answer takes 4 s, and its
// MESSAGE to a core that is out half a minute.
const patience = 60 * time.Second

// lab is a lab on addresses of its own.
type lab struct {
	t   *testing.T
	net string
	run string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	for _, tool := range []string{"kamailio", "kamcmd", "sipp", "sqlite3", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing; docker/lab/install.sh installs it", tool)
		}
	}
	binary := filepath.Join(t.TempDir(), "rewatch")
	if out, err := exec.Command("go", "build", "-o", binary, "rewatch/cmd/rewatch").CombinedOutput(); err != nil {
		t.Fatalf("build rewatch: %v\n%s", err, out)
	}
	t.Setenv("LAB_REWATCH", binary)
	run, err := os.MkdirTemp("", "lab") // short, for the sockets of Kamailio
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	t.Setenv("LAB_RUN", run)
	return &lab{t: t, run: run, net: fmt.Sprintf("127.%d.77", 32+os.Getpid()%200)}
}

// command runs one command of the lab. Only "up" is told the network.
func (l *lab) command(args ...string) string {
	l.t.Helper()
	cmd := exec.Command("./lab.sh", args...)
	if args[0] == "up" {
		cmd.Env = append(os.Environ(), "LAB_NET="+l.net)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.t.Fatalf("lab.sh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// get asks the admin port, with a token if there is one.
func (l *lab) get(path string, token ...string) string {
	l.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+l.net+".30:9090"+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if len(token) > 0 {
		req.Header.Set("X-Rewatch-Token", token[0])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// metric is the sum of a metric over the series that have a label.
func (l *lab) metric(name, label string) int {
	sum := 0.0
	for line := range strings.Lines(l.get("/metrics")) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(series, "{"); base == name && strings.Contains(series, label) {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				l.t.Fatalf("%s: %v", line, err)
			}
			sum += v
		}
	}
	return int(sum)
}

func (l *lab) eventually(what string, fact func() bool) {
	l.t.Helper()
	for end := time.Now().Add(patience); !fact(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("not within %v: %s\n%s", patience, what, l.command("status"))
		}
	}
}

// nobodySignedOut fails if rewatch has given up on somebody.
func (l *lab) nobodySignedOut() {
	l.t.Helper()
	if n := l.metric("rewatch_recoveries_total", `"exhausted"`) + l.metric("rewatch_deregistrations_total", ""); n != 0 {
		l.t.Errorf("%d were given up or signed out\n%s", n, l.command("status"))
	}
	if out := l.command("status"); strings.Count(out, "  sip:") != 3 {
		l.t.Errorf("registered are not all three\n%s", out)
	}
}

// TestLab plays an outage, a silence for everybody, and a phone without a network. None
// of them signs somebody out, and afterwards all watch again.
func TestLab(t *testing.T) {
	l := newLab(t)
	defer l.command("down")
	l.command("up")
	watching := func() bool { return l.metric("rewatch_subscriptions", "") == 3 }
	l.eventually("three phones watch", watching)

	failed := 0
	for _, fault := range [][]string{{"core"}, {"silent", "all"}} {
		l.command(append([]string{"break"}, fault...)...)
		failed += 3
		l.eventually("three NOTIFYs failed", func() bool { return l.metric("rewatch_notify_total", `"failed"`) >= failed })
		l.nobodySignedOut()
		l.command("heal")
		l.eventually("three phones watch again", watching)
		l.nobodySignedOut()
	}

	l.command("break", "tunnel", "carol")
	l.eventually("carol's NOTIFY failed", func() bool { return l.metric("rewatch_notify_total", `"failed"`) > failed })
	l.command("heal")
	l.eventually("three phones watch again", watching)
	l.nobodySignedOut()
	if out := l.command("status"); strings.Contains(out, "tunnel") {
		t.Errorf("a fault is left:\n%s", out)
	}
}

// TestLabTunnel plays the tunnel with redelivery: nobody gets a MESSAGE, no subscription
// is lost, and the newest state comes with the network. The console tells it meanwhile.
func TestLabTunnel(t *testing.T) {
	l := newLab(t)
	for name, value := range map[string]string{"REWATCH_REDELIVER": "10m", "REWATCH_CAPTURE": "4MiB", "REWATCH_ADMIN_TOKEN": "lab"} {
		t.Setenv(name, value)
	}
	defer l.command("down")
	l.command("up")
	through := func() int { return l.metric("rewatch_notify_total", `"ok"`) }
	l.eventually("three phones watch", func() bool { return through() >= 3 })
	before := l.subscriptions()

	l.command("break", "tunnel")
	l.eventually("alice's NOTIFY is kept", func() bool { return l.metric("rewatch_redeliver_kept", "") == 1 })
	l.command("publish", "and something newer")
	l.eventually("the newer one takes its place", func() bool { return l.metric("rewatch_redelivered_total", `"replaced"`) >= 1 })
	if out := l.command("status"); !strings.Contains(out, "rewatch_redeliver_kept 1") || !strings.Contains(out, "tunnel") {
		t.Errorf("the status does not tell it:\n%s", out)
	}
	if view := l.get("/api/v1/recoveries"); !strings.Contains(view, `"delivery": true`) || !strings.Contains(view, `"notifies": 1`) {
		t.Errorf("the API does not tell it:\n%s", view)
	}
	l.command("heal")
	l.eventually("alice has it", func() bool {
		return l.metric("rewatch_redelivered_total", `"delivered"`) >= 1 && l.metric("rewatch_redeliver_kept", "") == 0
	})
	if n := l.metric("rewatch_messages_total", "") + l.metric("rewatch_notify_total", `"failed"`); n != 0 {
		t.Errorf("%d MESSAGEs and failures\n%s", n, l.command("status"))
	}
	if after := l.subscriptions(); after != before || strings.Count(after, "alice watches") != 1 {
		t.Errorf("the subscriptions were\n%s\nand are\n%s", before, after)
	}
	l.nobodySignedOut()
	l.file()
}

// file reads the capture of the only delivery: the NOTIFY to a phone in the tunnel, its
// answer by rewatch, and the answer of the phone afterwards.
func (l *lab) file() {
	l.t.Helper()
	_, rest, _ := strings.Cut(l.get("/api/v1/recoveries"), `"id": "`)
	id, _, _ := strings.Cut(rest, `"`)
	if list := l.get("/api/v1/recoveries/" + id + "/messages"); !strings.Contains(list, `"branch": "z9hG4bK`) {
		l.t.Errorf("no messages: %s", list)
	}
	text := l.get("/api/v1/recoveries/"+id+"/pcap", "lab")
	if file := os.Getenv("LAB_PCAP"); file != "" {
		_ = os.WriteFile(file, []byte(text), 0o600)
	}
	reader, err := pcapgo.NewReader(strings.NewReader(text))
	if err != nil {
		l.t.Fatalf("%v: %.80q", err, text)
	}
	seen := map[string]int{}
	for {
		data, _, err := reader.ReadPacketData()
		if err != nil {
			break
		}
		datagram, _ := gopacket.NewPacket(data, reader.LinkType(), gopacket.Default).Layer(layers.LayerTypeUDP).(*layers.UDP)
		first, _, _ := strings.Cut(string(datagram.Payload), "\r\n")
		seen[strings.SplitN(first, " ", 2)[0]]++
	}
	if seen["NOTIFY"] < 4 || seen["SIP/2.0"] < 3 { // from the server, to the core, and retransmissions
		l.t.Errorf("in the file: %v", seen)
	}
}

// subscriptions are the rows of the presence server.
func (l *lab) subscriptions() string {
	_, rest, _ := strings.Cut(l.command("status"), "subscriptions at the presence server:\n")
	rows, _, _ := strings.Cut(rest, "faults:")
	return rows
}
