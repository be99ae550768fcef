//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a fact may take that ought to be there at once. It is
// long, because the machine may be busy; nothing waits for it in vain.
const patience = 10 * time.Second

// blocks counts the address blocks given out.
var blocks atomic.Uint32

// A site is the place of one test: its addresses, its directory, its processes.
type site struct {
	t   *testing.T
	net string // "127.34.5"
	dir string // short, for the sockets of Kamailio
}

// newSite gives a test a /24 of its own. When the test fails, what is in the
// directory of the site is kept.
func newSite(t *testing.T) *site {
	t.Helper()
	n := blocks.Add(1)
	// Two runs on one machine differ in the second byte, most likely.
	s := &site{t: t, net: fmt.Sprintf("127.%d.%d", 32+os.Getpid()%200, n)}
	dir, err := os.MkdirTemp("", "rw")
	if err != nil {
		t.Fatal(err)
	}
	s.dir = dir
	t.Cleanup(func() {
		if t.Failed() {
			s.keep()
		}
		_ = os.RemoveAll(dir)
	})
	return s
}

// keep copies the files of the site to integration/out.
func (s *site) keep() {
	out := filepath.Join("out", strings.ReplaceAll(s.t.Name(), "/", "_"), s.net)
	_ = os.RemoveAll(out)
	if err := os.MkdirAll(out, 0o755); err != nil {
		s.t.Log(err)
		return
	}
	entries, _ := os.ReadDir(s.dir)
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(s.dir, e.Name())); err == nil {
			_ = os.WriteFile(filepath.Join(out, e.Name()), b, 0o644)
		}
	}
	s.t.Logf("logs are in integration/%s", out)
}

// ip is an address of the site: s.ip(20) is the core's.
func (s *site) ip(last int) string { return fmt.Sprintf("%s.%d", s.net, last) }

// file is a path in the directory of the site.
func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// write makes a file in the directory of the site.
func (s *site) write(name, text string) string {
	s.t.Helper()
	path := s.file(name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// A process is a running program. It is stopped, at the latest, when its test
// ends.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	log  string
	done chan struct{}
	err  error // of Wait, valid once done is closed
	once sync.Once
}

// start runs a program with its output going to name.log in the site.
func (s *site) start(name string, env []string, argv ...string) *process {
	s.t.Helper()
	p := &process{t: s.t, name: name, log: s.file(name + ".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Dir = s.dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LANG=C.UTF-8", "TERM=dumb"}, env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatalf("start %s: %v", name, err)
	}
	_ = out.Close()
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	s.t.Cleanup(p.stop)
	return p
}

// stop ends the process: SIGTERM, and SIGKILL if that is not enough.
func (p *process) stop() {
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(15 * time.Second):
			p.signal(syscall.SIGKILL) // with its children: Kamailio may hang at its end
			<-p.done
			if strings.HasPrefix(p.name, "rewatch") { // the manners of others are not ours to test
				p.t.Errorf("%s did not end upon SIGTERM", p.name)
			}
		}
	})
}

// signal signals the process and its children.
func (p *process) signal(sig syscall.Signal) {
	for _, pid := range append(children(p.cmd.Process.Pid), p.cmd.Process.Pid) {
		_ = syscall.Kill(pid, sig)
	}
}

// children are the processes that a process has started, and theirs.
func children(parent int) []int {
	entries, _ := os.ReadDir("/proc")
	var all []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(parent) {
			all = append(append(all, pid), children(pid)...)
		}
	}
	return all
}

// running fails the test if the process has ended.
func (p *process) running() {
	p.t.Helper()
	select {
	case <-p.done:
		b, _ := os.ReadFile(p.log)
		p.t.Fatalf("%s has ended: %v\n%s", p.name, p.err, b)
	default:
	}
}

// wait gives the process some time to end by itself, and returns its error.
func (p *process) wait(d time.Duration) error {
	p.t.Helper()
	select {
	case <-p.done:
		return p.err
	case <-time.After(d):
		p.t.Fatalf("%s has not ended after %v\n%s", p.name, d, p.output())
		return nil
	}
}

// output is what the process has written so far.
func (p *process) output() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

// command runs a program to its end and returns its standard output.
func command(argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s: %w: %s", argv[0], err, exit.Stderr)
	}
	return string(out), err
}

// eventually waits until a fact holds.
func eventually(t *testing.T, within time.Duration, what string, fact func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !fact() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// holds watches that a fact does not change for a while. It is for what must
// not happen, the one case where time itself is what is waited for.
func holds(t *testing.T, during time.Duration, what string, fact func() bool) {
	t.Helper()
	deadline := time.Now().Add(during)
	for time.Now().Before(deadline) {
		if !fact() {
			t.Fatalf("no longer so: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// dialable says whether somebody listens on a TCP address.
func dialable(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// listens says whether somebody has the port of an address, without sending
// anything there (SIPp would take it for a call) and without taking the port.
func listens(addr, transport string) bool {
	table, waits := "/proc/net/udp", "" // for TCP, the state of a listener: a connection of the one before has the address too
	if transport == "t1" {
		table, waits = "/proc/net/tcp", "00000000:0000 0A "
	}
	b, err := os.ReadFile(table)
	if err != nil {
		return false
	}
	a := netip.MustParseAddrPort(addr)
	ip := a.Addr().As4()
	// The kernel prints the address as a little-endian number.
	return strings.Contains(string(b), fmt.Sprintf(" %02X%02X%02X%02X:%04X %s", ip[3], ip[2], ip[1], ip[0], a.Port(), waits))
}
