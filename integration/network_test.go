//go:build integration && linux

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// inNetwork names the test that runs in a network namespace of its own.
const inNetwork = "REWATCH_TEST_NETWORK"

// network has a test run in a network namespace of its own, where it may change addresses,
// routes and the firewall, and nobody else sees it: the test binary runs itself again in
// there. false: it has done so, and there is nothing left to do. It is skipped where that
// is not allowed, or where one of the programs is not there.
func network(t *testing.T, programs ...string) (inside bool) {
	t.Helper()
	return networkFor(t, 2*time.Minute, programs...)
}

// networkFor is network for a test that takes longer.
func networkFor(t *testing.T, within time.Duration, programs ...string) (inside bool) {
	t.Helper()
	if os.Getenv(inNetwork) == t.Name() {
		ip(t, "link set lo up")
		return true
	}
	for _, program := range append(programs, "ip") {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs ", program, ", which is not here")
		}
	}
	again := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.count=1", "-test.timeout="+within.String(),
		"-test.parallel=16", "-test.v")
	again.Env = append(os.Environ(), inNetwork+"="+t.Name(), "REWATCH_BINARY="+binary)
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := again.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		t.Skip("needs root, for a network namespace")
	case err != nil:
		t.Errorf("in its own network: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("in its own network:\n%s", out)
	case testing.Verbose():
		t.Logf("in its own network:\n%s", out)
	}
	return false
}

// must runs a program that has to succeed.
func must(t *testing.T, line string) {
	t.Helper()
	argv := strings.Fields(line)
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

func ip(t *testing.T, line string) { t.Helper(); must(t, "ip "+line) }

// firewall drops what leaves and matches, until the test ends or lift is called. Its sender is
// told (EPERM); hole is a firewall that tells nobody.
func firewall(t *testing.T, match string) (lift func()) {
	t.Helper()
	return filter(t, "output", match)
}

func hole(t *testing.T, match string) (lift func()) {
	t.Helper()
	return filter(t, "input", match)
}

func filter(t *testing.T, hook, match string) (lift func()) {
	t.Helper()
	must(t, "nft add table inet rewatchtest")
	must(t, "nft add chain inet rewatchtest out { type filter hook "+hook+" priority 0 ; }")
	must(t, "nft add rule inet rewatchtest out "+match+" drop")
	return func() { must(t, "nft delete table inet rewatchtest") }
}

// TestKernelRefuses: a datagram that the kernel refuses is a failed hop at once, and the
// NOTIFY has failed long before its deadline.
func TestKernelRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refuse func(t *testing.T, core string)
		status int
		result string
	}{
		"no route":  {func(t *testing.T, core string) { ip(t, "route add unreachable "+core+" table local") }, 481, "failed"},
		"forbidden": {func(t *testing.T, core string) { ip(t, "route add prohibit "+core+" table local") }, 481, "failed"},
		"firewall":  {func(t *testing.T, core string) { firewall(t, "ip daddr "+core+" th dport 5060") }, 481, "failed"},
		"UDP alone": {func(t *testing.T, core string) { firewall(t, "ip daddr "+core+" udp dport 5060") }, 200, "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			if !network(t, "nft") {
				return
			}
			s := newSite(t)
			n := s.startNotifier()
			core := s.startSCSCF()
			r := s.startRewatch(env{"REWATCH_NOTIFY_TIMEOUT": "20s"})
			_, d := established(core, n, "alice", "bob")
			c.refuse(t, s.ip(20))
			start := time.Now()
			if m := n.notify(d, patience); m == nil || m.status != c.status {
				t.Fatalf("the server got %v, want %d", m, c.status)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("after %v", took)
			}
			eventually(t, patience, "it is counted", func() bool {
				return r.metric("rewatch_notify_total", `result="`+c.result+`"`) == 1
			})
		})
	}
}

// TestTooLongForUDP: what comes by TCP and fits no datagram gets its answer at once, and
// the server is not held to be down for it.
func TestTooLongForUDP(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startNotifier()
	c := s.startSCSCF()
	r := s.startRewatch(env{"REWATCH_SERVER_LISTEN": "udp://" + s.ip(31) + ":5062"})
	body := strings.Repeat("x", 80000)
	publish := c.request("tcp", "PUBLISH", "sip:bob@ims.example", body,
		"From: <sip:alice@ims.example>;tag=a1", "To: <sip:bob@ims.example>", "Call-ID: "+token("large"), "CSeq: 1 PUBLISH",
		"Event: presence", "Content-Type: text/plain")
	if m := c.do("tcp", s.coreSide(), publish, patience); m == nil || m.status != 513 {
		t.Fatalf("the core got %v, want 513", m)
	}
	if status, why := r.get("/readyz"); status != 200 {
		t.Error(why)
	}
}

// TestSeveralAddresses: a wildcard listener answers from the address that it was asked at,
// itself and with what the server says; a virtual address that comes later is one of them.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	if !network(t) {
		return
	}
	s := newSite(t)
	s.startNotifier()
	c := s.startSCSCF()
	s.startRewatch(env{"REWATCH_LISTEN": "udp://0.0.0.0:25060", "REWATCH_ADVERTISE": s.ip(30) + ":25060"})
	const virtual = "10.55.0.7"
	ip(t, "addr add "+virtual+"/32 dev lo")
	for i, at := range []string{s.ip(30), s.ip(77), "127.0.0.1", virtual} {
		for j, hops := range []string{"0", "70"} {
			raw := c.request("udp", "SUBSCRIBE", "sip:bob@ims.example", "",
				fmt.Sprintf("From: <sip:u%d-%d@ims.example>;tag=a1", i, j), "To: <sip:bob@ims.example>", "Call-ID: "+token("sub"),
				"CSeq: 1 SUBSCRIBE", "Contact: <sip:u@"+s.ip(20)+":5060>", "Event: presence", "Expires: 600")
			m := c.do("udp", at+":25060", bytes.Replace(raw, []byte("Max-Forwards: 70"), []byte("Max-Forwards: "+hops), 1), patience)
			if want := []int{483, 200}[j]; m == nil || m.status != want {
				t.Fatalf("at %s: %v, want %d", at, m, want)
			}
			if m.source != at+":25060" {
				t.Errorf("asked at %s, answered from %s", at, m.source)
			}
		}
	}
}

// TestOwnAddress: what a wildcard listener sends leaves from the address that it goes by,
// which its Via and Record-Route name, and by the system's choice while that is elsewhere.
func TestOwnAddress(t *testing.T) {
	t.Parallel()
	if !network(t) {
		return
	}
	const virtual = "10.55.0.7"
	ip(t, "addr add 10.55.0.1/32 dev lo")
	ip(t, "addr add "+virtual+"/32 dev lo")
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	s.startRewatch(env{
		"REWATCH_LISTEN":    "udp://0.0.0.0:25060, tcp://0.0.0.0:25060",
		"REWATCH_ADVERTISE": virtual + ":25060",
	})
	for _, transport := range []string{"udp", "tcp"} {
		user := "alice-" + transport
		seen := make(chan *message, 8)
		answer := func(status int) func(*message) {
			return func(m *message) {
				seen <- m
				c.reply(m, status, "As Scripted")
			}
		}
		c.script("NOTIFY", user, answer(200))
		w, resp := c.subscribeAt(transport, virtual+":25060", wish{user: user, buddy: "bob"})
		if resp.status != 200 {
			t.Fatal(resp)
		}
		d := n.dialog(w.callID)
		through := func() (own bool) {
			t.Helper()
			if m := n.notify(d, patience); m == nil || m.status != 200 {
				t.Fatalf("%s: the server got %v, want 200", transport, m)
			}
			m := <-seen
			if via, route := m.get("via"), m.get("record-route"); !strings.Contains(via, " "+virtual+":25060") || !strings.Contains(route, "sip:"+virtual+":25060") {
				t.Errorf("%s: Via %s, Record-Route %s", transport, via, route)
			}
			host, _, _ := net.SplitHostPort(m.source)
			return host == virtual && m.transport == transport
		}
		if !through() {
			t.Errorf("%s: the NOTIFY leaves from elsewhere", transport)
		}
		if transport == "udp" { // a connection stays where it is
			ip(t, "addr del "+virtual+"/32 dev lo")
			if through() {
				t.Error("the address is elsewhere")
			}
			ip(t, "addr add "+virtual+"/32 dev lo")
			eventually(t, patience, "the NOTIFY leaves from the address again", through)
		}
		c.script("NOTIFY", user, answer(480))
		c.script("MESSAGE", user, answer(200))
		if m := n.notify(d, patience); m == nil || m.status != 481 {
			t.Fatalf("the server got %v, want 481", m)
		}
		for range 2 {
			m := <-seen
			if host, _, _ := net.SplitHostPort(m.source); host != virtual {
				t.Errorf("%s: %s from %s", transport, m.method, m.source)
			}
		}
	}
}

// TestVirtualAddress: one that is with another machine at the moment can be checked and
// listened on where the system allows that.
func TestVirtualAddress(t *testing.T) {
	t.Parallel()
	if !network(t) {
		return
	}
	const virtual = "10.55.0.9"
	s := newSite(t)
	s.startNotifier()
	s.startSCSCF()
	listen := env{"REWATCH_LISTEN": "udp://" + virtual + ":5060"}
	check := func() (string, error) {
		c := exec.Command(binary, "check")
		c.Env = append(s.settings(listen), "PATH="+os.Getenv("PATH"))
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := check(); err == nil || !strings.Contains(out, virtual+":5060 is no address of this machine") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_nonlocal_bind", []byte("1"), 0o644); err != nil {
		t.Skip("no ip_nonlocal_bind: ", err)
	}
	if out, err := check(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	s.startRewatch(listen)
}

// gone takes the ends of streams.
type gone chan error

func (gone) Message(*transport.Stream, []byte)           {}
func (gone) Unreadable(*transport.Stream, []byte, error) {}
func (g gone) Closed(_ *transport.Stream, err error)     { g <- err }

// TestVanishedPeer: a TCP peer whose system acknowledges nothing any more, as when its
// machine is gone, is given up within ten seconds, be there something to send or not. The
// peer is to blame, and not this side.
func TestVanishedPeer(t *testing.T) {
	t.Parallel()
	for name, writes := range map[string]bool{"with something to send": true, "idle": false} {
		t.Run(name, func(t *testing.T) {
			if !network(t, "nft") {
				return
			}
			l, err := net.Listen("tcp4", "127.0.0.1:5060")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			end := make(gone, 1)
			set := transport.NewStreams(transport.StreamConfig{Frame: wire.FrameFrom}, end)
			defer set.Shutdown()
			st := set.To(netip.MustParseAddrPort("127.0.0.1:5060"), false, "")
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			lift := firewall(t, "tcp sport 5060")
			defer lift()
			start := time.Now()
			if writes {
				if err := st.Write([]byte("MESSAGE sip:x SIP/2.0\r\n\r\n")); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case err := <-end:
				if took := time.Since(start); took > 11*time.Second || errors.Is(err, transport.ErrOurs) {
					t.Errorf("%v after %v", err, took)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("it is still held to be there")
			}
		})
	}
}

// TestVanishedCore: what was queued for a core that is gone has failed before its deadline.
func TestVanishedCore(t *testing.T) {
	t.Parallel()
	if !network(t, "nft") {
		return
	}
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF()
	s.startRewatch(env{"REWATCH_CORE": "sip:" + s.ip(20) + ":5060;transport=tcp", "REWATCH_NOTIFY_TIMEOUT": "28s"})
	c.register("alice", 3600)
	w, resp := c.subscribeOver("tcp", wish{user: "alice", buddy: "bob"})
	if resp.status != 200 {
		t.Fatal(resp)
	}
	d := n.dialog(w.callID)
	if m := n.notify(d, patience); m == nil || m.status != 200 {
		t.Fatalf("the server got %v, want 200", m)
	}
	firewall(t, "ip saddr "+s.ip(20)+" tcp sport 5060")
	start := time.Now()
	if m := n.notify(d, 30*time.Second); m == nil || m.status != 481 {
		t.Fatalf("the server got %v, want 481", m)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("after %v", took)
	}
}
