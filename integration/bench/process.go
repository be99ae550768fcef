package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"rewatch/integration/load"
)

// process is a system under test, with its children.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	log  lockedBuffer
}

// lockedBuffer keeps the end of what a process says.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const keptLog = 64 << 10

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > keptLog {
		l.b.Next(l.b.Len() / 2)
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startProcess starts a program in a process group of its own, so that a Ctrl-C
// reaches us alone and we can end it in order.
func startProcess(env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})} //nolint:gosec,noctx // ended by stop
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// exited tells whether the process has ended by itself.
func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// patience is how long a process has to end after it was asked to.
const patience = 15 * time.Second

// stop asks the process to end, waits, and in the end insists; its children go
// with it.
func (p *process) stop() {
	pids := p.pids()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return
	case <-time.After(patience):
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.done
}

// pids are the process and its descendants.
func (p *process) pids() []int {
	parents := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		data, err := os.ReadFile(f) //nolint:gosec // below /proc
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		rest := string(data[bytes.LastIndexByte(data, ')')+1:])
		if c := strings.Fields(rest); len(c) > 1 {
			ppid, _ := strconv.Atoi(c[1])
			parents[ppid] = append(parents[ppid], pid)
		}
	}
	list := []int{p.cmd.Process.Pid}
	for i := 0; i < len(list); i++ {
		list = append(list, parents[list[i]]...)
	}
	return list
}

// cpu is the time that the processes have run so far, user and system, by the
// scheduler's account of every thread in nanoseconds.
func cpu(pids []int) (total time.Duration) {
	for _, pid := range pids {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, f := range tasks {
			data, err := os.ReadFile(f) //nolint:gosec // below /proc
			if err != nil {
				continue
			}
			ran, _, _ := strings.Cut(string(data), " ")
			n, _ := strconv.ParseInt(ran, 10, 64)
			total += time.Duration(n)
		}
	}
	return total
}

// memory is the proportional set size of the processes in bytes: what they share
// is counted once.
func memory(pids []int) (total int64) {
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) //nolint:gosec // below /proc
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if c := strings.Fields(line); len(c) == 3 && c[0] == "Pss:" {
				n, _ := strconv.ParseInt(c[1], 10, 64)
				total += n << 10
			}
		}
	}
	return total
}

// startLimit is how long a system may take until it listens; to page in the memory
// of Kamailio can take a while on a virtual machine.
const startLimit = 90 * time.Second

// await waits until ready says so, while the generator answers what is asked of
// it; it fails if the process ends before.
func (p *process) await(ctx context.Context, what string, gen *load.Generator, ready func() bool) error {
	begin := time.Now()
	late := false
	_, err := gen.Idle(ctx, func() bool {
		late = time.Since(begin) > startLimit
		return late || p.exited() || ready()
	})
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case p.exited():
		return fmt.Errorf("%s ended: %w\n%s", what, errors.Join(p.err), p.log.String())
	case late:
		return fmt.Errorf("%s does not listen\n%s", what, p.log.String())
	}
	return nil
}
