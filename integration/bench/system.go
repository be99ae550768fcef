package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rewatch/integration/load"
)

// The systems that are compared.
const (
	sysRelay     = "relay"
	sysRewatch   = "rewatch"
	sysKamailio1 = "kamailio-1"
	sysKamailio2 = "kamailio-2"
)

var allSystems = []string{sysRelay, sysRewatch, sysKamailio1, sysKamailio2}

// lab is what all systems have in common.
type lab struct {
	dir   string // of built programs and files
	procs int    // GOMAXPROCS of the Go programs, 0: their own choice
	spin  bool   // the generator never sleeps
	// rewatch is the binary to measure; empty: the one that build makes.
	rewatch string
}

// build compiles the programs that are measured.
func (l *lab) build(ctx context.Context) error {
	if err := l.compile(ctx, "relay", "rewatch/integration/load/relay"); err != nil || l.rewatch != "" {
		return err
	}
	l.rewatch = filepath.Join(l.dir, "rewatch")
	return l.compile(ctx, "rewatch", "rewatch/cmd/rewatch")
}

func (l *lab) compile(ctx context.Context, name, pkg string, flags ...string) error {
	args := append([]string{"build", "-o", filepath.Join(l.dir, name)}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...) //nolint:gosec // fixed names
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// system is one that can be started.
type system struct {
	name    string
	network string
	net     load.Net
	env     []string // further variables of rewatch
}

// target says where it listens and what it does to messages.
func (s *system) target() load.Target {
	t := load.Target{CoreSide: s.net.CoreSide(), ServerSide: s.net.ServerSide()}
	switch s.name {
	case sysRelay:
		t.Transparent = true
	case sysRewatch:
		t.OnNotify, t.OnSubscribe = 2, 2
	default: // one address for both sides spares Kamailio a second Record-Route
		t.ServerSide = t.CoreSide
		t.OnNotify, t.OnSubscribe = 1, 1
	}
	return t
}

func (s *system) start(l *lab) (*process, error) {
	switch s.name {
	case sysRelay:
		return s.startRelay(l)
	case sysRewatch:
		return s.startRewatch(l)
	default:
		return s.startKamailio(l)
	}
}

func (l *lab) goEnv() []string {
	if l.procs == 0 {
		return nil
	}
	return []string{"GOMAXPROCS=" + strconv.Itoa(l.procs)}
}

func (s *system) startRelay(l *lab) (*process, error) {
	return startProcess(l.goEnv(), filepath.Join(l.dir, "relay"), "-network", s.network,
		"-core", s.net.CoreSide().String(), "-server", s.net.ServerSide().String(),
		"-core-peer", s.net.Core().String(), "-server-peer", s.net.Server().String())
}

// admin is where rewatch shows its metrics.
func (s *system) admin() string { return s.net.CoreSide().Addr().String() + ":9090" }

func (s *system) startRewatch(l *lab) (*process, error) {
	transport := ";transport=" + s.network
	env := append(l.goEnv(),
		"REWATCH_SERVER=sip:"+s.net.Server().String()+transport,
		"REWATCH_CORE=sip:"+s.net.Core().String()+transport,
		fmt.Sprintf("REWATCH_LISTEN=udp://%s,tcp://%[1]s", s.net.CoreSide()),
		fmt.Sprintf("REWATCH_SERVER_LISTEN=udp://%s,tcp://%[1]s", s.net.ServerSide()),
		"REWATCH_ADMIN_LISTEN="+s.admin(),
		"REWATCH_LOG_LEVEL=warn", "REWATCH_DRAIN=1s",
	)
	return startProcess(append(env, s.env...), l.rewatch)
}

// kamailioMemory is what Kamailio gets in MiB: a transaction takes 11 KB for the
// five seconds that it lingers.
const kamailioMemory = 3072

func (s *system) startKamailio(l *lab) (*process, error) {
	cfg, err := filepath.Abs("integration/bench/kamailio-tm.cfg")
	if err != nil {
		return nil, err
	}
	return startProcess(nil, "kamailio", "-DD", "-E", "-f", cfg, "-Y", l.dir, "-P", filepath.Join(l.dir, "kamailio.pid"),
		"-x", "tlsf", "-m", strconv.Itoa(kamailioMemory), "-M", "64", "-b", strconv.Itoa(4<<20),
		"--substdef=!CHILDREN!"+strings.TrimPrefix(s.name, "kamailio-")+"!g",
		"--substdef=!PROXY_IP!"+s.net.CoreSide().Addr().String()+"!g",
		"--substdef=!SERVER_ADDR!"+s.net.Server().String()+"!g",
		"--substdef=!TRANSPORT!"+s.network+"!g",
		"--substdef=!RUN_DIR!"+l.dir+"!g")
}

// used is what the system has in use. Of Kamailio's pool, which is paged in at
// the start, only the part counts that was ever taken.
func (s *system) used(l *lab, pids []int) int64 {
	n := memory(pids)
	if !strings.HasPrefix(s.name, "kamailio") {
		return n
	}
	out, err := exec.Command("kamcmd", "-s", "unix:"+l.dir+"/kamailio.ctl", "core.shmmem", "k").Output() //nolint:gosec,noctx // quick
	if err != nil {
		return n
	}
	total, used := number(out, "total")<<10, number(out, "max_used")<<10 // in bytes they would not fit its 32 bits
	if total > 0 && n > total-used {
		n -= total - used
	}
	return n
}

// number reads "name: 123" in the output of kamcmd.
func number(out []byte, name string) int64 {
	m := regexp.MustCompile(`(?m)^\s*` + name + `: (\d+)`).FindSubmatch(out)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n
}

// known tells whether there is a system of that name.
func known(name string) bool { return slices.Contains(allSystems, name) }
