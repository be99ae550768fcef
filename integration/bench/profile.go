package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"rewatch/integration/load"
)

// profiled is the file that "go build" takes for its profile-guided optimisation.
const profiled = "cmd/rewatch/default.pgo"

// profiling says how long each kind of work goes into the profile: what a
// sidecar does all day most of all. Over TCP it is half of that.
var profiling = []struct {
	kind load.Kind
	last time.Duration
}{
	{load.Notify, 16 * time.Second},
	{load.Register, 4 * time.Second},
	{load.Subscribe, 4 * time.Second},
}

// recordProfile makes default.pgo: a binary without one is profiled under load,
// over both transports.
func recordProfile(ctx context.Context, l *lab, out io.Writer) error {
	l.rewatch = filepath.Join(l.dir, "rewatch-profile")
	if err := l.compile(ctx, "rewatch-profile", "rewatch/cmd/rewatch", "-tags", "profile", "-pgo", "off"); err != nil {
		return err
	}
	args := []string{"tool", "pprof", "-proto", "-output", profiled}
	for i, network := range []string{"udp", "tcp"} {
		say(out, "profile: rewatch over %s\n", network)
		file := filepath.Join(l.dir, network+".pprof")
		if err := l.profile(ctx, load.Net(fmt.Sprintf("127.203.%d", i+1)), network, file); err != nil {
			return err
		}
		args = append(args, file)
	}
	if said, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil { //nolint:gosec // our own files
		return fmt.Errorf("go tool pprof: %w\n%s", err, said)
	}
	info, err := os.Stat(profiled)
	if err != nil {
		return err
	}
	say(out, "profile: %s, %d KB\n", profiled, info.Size()>>10)
	return nil
}

func (l *lab) profile(ctx context.Context, net load.Net, network, file string) error {
	env := []string{"REWATCH_PROFILE=" + file}
	r := &rig{block: new(block), lab: l, system: system{name: sysRewatch, network: network, net: net, env: env}}
	defer r.close()
	if err := r.open(ctx, load.Config{}); err != nil {
		return err
	}
	if err := r.subscribe(ctx, quickPlan.dialogs); err != nil {
		return err
	}
	turn := func() error { return r.proc.cmd.Process.Signal(syscall.SIGUSR1) }
	if err := turn(); err != nil {
		return err
	}
	for _, p := range profiling {
		if network == "tcp" {
			p.last /= 2
		}
		if _, err := r.run(ctx, load.Phase{Kind: p.kind, Duration: p.last, Dialogs: quickPlan.dialogs, First: r.first}); err != nil {
			return err
		}
	}
	if err := turn(); err != nil {
		return err
	}
	return r.rest(ctx, time.Second) // it is written meanwhile
}
