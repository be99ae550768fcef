// Command rewatch is a SIP sidecar in front of a presence server.
//
// It stands between an IMS core and an unmodified server, watches what becomes
// of each NOTIFY, and when one fails it acts for the server: the dead
// subscription is ended, the watcher is told by MESSAGE to subscribe again, and
// a user who cannot be brought back is signed out and reported by an alarm.
//
// This package only chooses the command. Package config reads the environment,
// sidecar builds everything and stops it in order, admin serves the metrics, the API
// and the console; check, ctl, demo, health and simulate are commands of their own. SIP
// is the matter of packages proxy, dialogs and policy.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/caarlos0/env/v11"
	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/cli"
)

// The exit statuses. A wrong command line (usage) has its own.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	useOneProcessor()
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00" // milliseconds: SIP happens within a second
	os.Exit(run(os.Args[1:], env.ToMap(os.Environ()), os.Stdout, os.Stderr))
}

// useOneProcessor keeps the Go scheduler on one processor unless GOMAXPROCS is set. Forwarding is
// mostly system calls. With a second processor the readers of the two sides wake each other
// across cores, which costs more than it gains ("make bench" with -procs shows it). One processor
// is enough for all that a presence server can send.
func useOneProcessor() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// run is the program; a test calls it with its own arguments, environment and outputs. It returns
// the exit status.
func run(args []string, environ cli.Environ, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	name := "run"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	cmd, ok := findCommand(name)
	if !ok {
		_, _ = fmt.Fprintf(stderr, "rewatch: unknown command %q; \"rewatch help\" lists the commands\n", name)
		return exitUsage
	}
	err := cmd.run(ctx, cli.Call{Args: args, Environ: environ, Stdout: stdout})
	return report(err, stderr)
}

// report writes an error, a line for each part of it, and gives the exit status.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, cli.ErrReported) {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			_, _ = fmt.Fprintf(stderr, "rewatch: %s\n", line)
		}
	}
	if _, ok := errors.AsType[cli.UsageError](err); ok {
		return exitUsage
	}
	return exitFailed
}
