// Command rewatch is a SIP sidecar in front of a presence server.
//
// It stands between an IMS core and an unmodified server, watches what becomes
// of each NOTIFY, and when one fails it acts for the server: the dead
// subscription is ended, the watcher is told by MESSAGE to subscribe again, and
// a user who cannot be brought back is signed out and reported by an alarm.
//
// This package only joins the others. config*.go reads the environment, run.go
// builds everything and stops it in order, admin.go and its neighbours serve the
// metrics, the API and the console. What SIP is, packages proxy, dialogs and
// policy know.
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
)

// The exit statuses: a start that was wrong in its words (usage) is told apart
// from one that failed.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	useOneProcessor()
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00" // SIP needs better than seconds
	os.Exit(run(os.Args[1:], env.ToMap(os.Environ()), os.Stdout, os.Stderr))
}

// useOneProcessor keeps the Go scheduler on one processor unless GOMAXPROCS says
// otherwise. Forwarding is system calls; a second processor makes the readers of
// the two sides wake each other across cores, which costs more than it gives
// ("make bench" with -procs shows it). One carries what a presence server can send.
func useOneProcessor() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// oneMoreProcessor gives the reader of the UDP sockets a processor beside the one,
// while it keeps it to itself (proxy.Config.Lane). It is nil where the processors are
// not ours to choose.
func oneMoreProcessor() func(held bool) {
	if os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) != 1 {
		return nil
	}
	return func(held bool) {
		if held {
			runtime.GOMAXPROCS(2)
		} else {
			runtime.GOMAXPROCS(1)
		}
	}
}

// run is the program with all that it takes from outside as arguments. It
// returns the exit status.
func run(args []string, environ environment, stdout, stderr io.Writer) int {
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
	err := cmd.run(ctx, call{args: args, environ: environ, stdout: stdout})
	return report(err, stderr)
}

// report writes an error as a person wants to read it and chooses the status.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errReported) {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			_, _ = fmt.Fprintf(stderr, "rewatch: %s\n", line)
		}
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// usageError is a command line that cannot be meant.
type usageError string

func (e usageError) Error() string { return string(e) }

// errReported: the command has said what is wrong on its standard output.
var errReported = errors.New("reported")
