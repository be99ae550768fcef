// Package demo is "rewatch demo": it shows two recoveries and a delivery on loopback. The real
// sidecar runs in this process; the core, the server and the phones are those of
// integration/peers.
package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"rewatch/cmd/rewatch/cli"
)

// options are the flags of "rewatch demo".
type options struct {
	keep, verbose, plain bool
}

// showTime bounds the whole show. A recovery that has not come by then is reported as missing.
const showTime = 30 * time.Second

// Command shows two recoveries and a delivery on loopback: the real rewatch runs in this
// process between a core, a presence server and three phones. It succeeds only if
// the peers and rewatch's own metrics say that this happened.
func Command(ctx context.Context, c cli.Call) error {
	stdout := c.Stdout
	opts, err := parseFlags(c.Args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	l := newLadder(stdout, terminalWidth(stdout), cli.Colourful(stdout, opts.plain))
	st, err := openStage(ctx, l, opts)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer st.close()

	show, done := context.WithTimeout(ctx, showTime)
	defer done()
	verdict := st.play(show)
	if ctx.Err() != nil {
		return errors.New("demo: stopped before the end")
	}
	ok := st.summary(verdict)
	if opts.keep {
		st.keep(ctx)
	}
	if !ok {
		return cli.ErrReported
	}
	return nil
}

func parseFlags(args []string, out io.Writer) (options, error) {
	var opts options
	fs := flag.NewFlagSet("rewatch demo", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&opts.keep, "keep", false, "leave everything running, with the console, until Ctrl-C")
	fs.BoolVar(&opts.verbose, "v", false, "print every message in full")
	fs.BoolVar(&opts.plain, "plain", false, "no colours")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = fmt.Fprintln(out, "Usage: rewatch demo [-keep] [-v] [-plain]")
		fs.SetOutput(out)
		fs.PrintDefaults()
		return opts, err
	case err != nil:
		return opts, cli.UsageError("demo: " + err.Error())
	case fs.NArg() > 0:
		return opts, cli.UsageError(fmt.Sprintf("demo takes no arguments, but got %q", fs.Arg(0)))
	}
	return opts, nil
}

// play shows the three stories, one after the other. The error says what did not happen.
func (st *stage) play(ctx context.Context) error {
	st.introduce()
	if err := st.recovery(ctx); err != nil {
		return err
	}
	if err := st.threshold(ctx); err != nil {
		return err
	}
	return st.tunnel(ctx)
}

func (st *stage) introduce() {
	l := st.ladder
	l.say("", plain)
	l.say("rewatch demo", own)
	l.say("The real rewatch runs between a small core, a presence server and three phones,", plain)
	l.say("all on loopback UDP. Every arrow is a message that passed a socket just now.", plain)
	l.say("", plain)
	l.say("Timers are shortened: "+strings.Join(st.shortened(), " "), faint)
	l.say("──▶ request   ╌╌▶ response   ✗ lost   ┼ ╂ passed on", faint)
	l.say("The numbers are the steps of the reference flow in the README.", faint)
}

// keep leaves everything running until ctx ends, so that the consoles can be looked at. Carol
// changes state every keepEvery, so that there is some traffic.
func (st *stage) keep(ctx context.Context) {
	st.flow.chapter("5. Carol comes and goes, until Ctrl-C. Consoles: "+st.rewatch.url("/")+" and Dora's "+st.keeper.url("/"), "phones", nil)
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-st.rewatch.ended:
			return
		case <-st.keeper.ended:
			return
		case <-tick.C:
			st.server.Publish(carolAOR, []string{"closed", "open"}[i%2])
		}
	}
}

// keepEvery is the time between two changes of Carol's state.
const keepEvery = 10 * time.Second
