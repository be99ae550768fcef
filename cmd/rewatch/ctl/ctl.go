// Package ctl is "rewatch ctl": an operator changes a rewatch that runs, by the API of its admin port.
package ctl

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
)

// command is one word after "rewatch ctl".
type command struct {
	name, argument, summary string
	run                     func(*controller, context.Context, string) error
}

// commands lists them as help shows them.
var commands = []command{
	{"status", "", "what it does, what is held, what is raised", (*controller).status},
	{"hold", "REASON", "stop every MESSAGE, strike and sign-out, in the middle of a recovery too; kept over a restart by REWATCH_STATE", (*controller).hold},
	{"resume", "[HOP]", "end the hold by hand, or that of one next hop; recovery goes on where it was", (*controller).resume},
	{"dry-run", "on|off", "observe only; whoever failed meanwhile is forgiven at the end. A restart goes back to REWATCH_DRY_RUN", (*controller).dryRun},
	{"log-level", "LEVEL", "trace, debug, info, warn or error. A restart goes back to REWATCH_LOG_LEVEL", (*controller).logLevel},
	{"reset", "AOR", "forgive a user everything: count, ban and alarm", (*controller).reset},
	{"unban", "AOR", "end a user's ban; the count stays", (*controller).unban},
	{"pseudonym", "AOR", "how a user stands in logs and alarms with REWATCH_LOG_USERS=pseudonym; asks nobody", nil},
}

// Words are what may follow "rewatch ctl", for the completion of a shell.
func Words() []string {
	var words []string
	for _, c := range commands {
		words = append(words, c.name)
	}
	newFlags(&options{}).VisitAll(func(f *flag.Flag) { words = append(words, "-"+f.Name) })
	return words
}

// options are the flags.
type options struct {
	address, token, tokenFile, ca, cert, key, user, passwordFile string
}

func newFlags(o *options) *flag.FlagSet {
	f := flag.NewFlagSet("ctl", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.address, "address", "", "`URL` or host:port of the admin port; else REWATCH_ADMIN_LISTEN")
	f.StringVar(&o.token, "token", "", "the `TOKEN` for changes; else REWATCH_ADMIN_TOKEN or its file")
	f.StringVar(&o.tokenFile, "token-file", "", "`FILE` with the token")
	f.StringVar(&o.ca, "ca", "", "`FILE` with the certificates (PEM) that sign the server's; else those of the system")
	f.StringVar(&o.cert, "cert", "", "`FILE` with a certificate (PEM) to show, for mutual TLS")
	f.StringVar(&o.key, "key", "", "`FILE` with its private key (PEM)")
	f.StringVar(&o.user, "user", "", "`NAME` for basic authentication")
	f.StringVar(&o.passwordFile, "password-file", "", "`FILE` with the password")
	return f
}

// Command is "rewatch ctl".
func Command(ctx context.Context, c cli.Call) error {
	var o options
	flags := newFlags(&o)
	err := flags.Parse(c.Args)
	args := flags.Args()
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err = io.WriteString(c.Stdout, help())
		return err
	case err != nil:
		return cli.UsageError(err.Error() + `; "rewatch ctl -h" lists the flags`)
	case len(args) == 0:
		return cli.UsageError(`"ctl" takes a command; "rewatch ctl -h" lists them`)
	case args[0] == "help":
		_, err = io.WriteString(c.Stdout, help())
		return err
	}
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		return cli.UsageError(fmt.Sprintf(`"ctl" has no command %q; "rewatch ctl -h" lists them`, args[0]))
	}
	cmd, argument := commands[i], strings.Join(args[1:], " ")
	switch many := len(args) > 2 && cmd.name != "hold"; { // a reason may stand without quotes
	case many, cmd.argument == "" && argument != "":
		return cli.UsageError(fmt.Sprintf("%q takes %s, but got %q", "ctl "+cmd.name, cmp.Or(cmd.argument, "nothing"), argument))
	case argument == "" && cmd.argument != "" && cmd.argument[0] != '[':
		return cli.UsageError(fmt.Sprintf("%q takes %s", "ctl "+cmd.name, cmd.argument))
	}
	if cmd.run == nil {
		return pseudonym(c, argument)
	}
	ctl, err := connect(o, c)
	if err != nil {
		return err
	}
	return cmd.run(ctl, ctx, argument)
}

func help() string {
	var b strings.Builder
	b.WriteString("Change a rewatch that runs, by its admin port.\n\nUsage: rewatch ctl [flags] command\n\n")
	const column = 24
	for _, c := range commands {
		b.WriteString(cli.Entry(strings.TrimSpace(c.name+" "+c.argument), column, c.summary))
	}
	b.WriteString("\nFlags; without them the variables of the environment that rewatch runs with:\n\n")
	newFlags(&options{}).VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		b.WriteString(cli.Entry("-"+f.Name+" "+value, column, usage))
	})
	b.WriteString("\nEvery change is written into the log and to REWATCH_AUDIT.\n")
	return b.String()
}

func pseudonym(c cli.Call, address string) error {
	cfg, err := config.LoadControl(c.Environ)
	if err != nil {
		return err
	}
	maker := cfg.Process.Pseudonyms()
	if maker == nil {
		return errors.New("REWATCH_LOG_USERS=clear: users stand in logs and alarms as they are")
	}
	_, err = fmt.Fprintln(c.Stdout, maker.Of(address))
	return err
}

func (c *controller) hold(ctx context.Context, reason string) error {
	if err := c.change(ctx, http.MethodPut, "hold", map[string]string{"reason": reason}); err != nil {
		return err
	}
	return c.say("held: nobody is told, counted or signed out until \"rewatch ctl resume\"")
}

func (c *controller) resume(ctx context.Context, hop string) error {
	path := "hold"
	if hop != "" {
		path += "?hop=" + url.QueryEscape(hop)
	}
	if err := c.change(ctx, http.MethodDelete, path, nil); err != nil {
		return err
	}
	return c.say("recovery goes on")
}

func (c *controller) dryRun(ctx context.Context, word string) error {
	if word != "on" && word != "off" {
		return cli.UsageError(fmt.Sprintf(`"ctl dry-run" takes on or off, but got %q`, word))
	}
	if err := c.change(ctx, http.MethodPut, "dry-run", map[string]bool{"on": word == "on"}); err != nil {
		return err
	}
	if word == "on" {
		return c.say("dry run: it only observes")
	}
	return c.say("dry run is over: it acts")
}

func (c *controller) logLevel(ctx context.Context, level string) error {
	if err := c.change(ctx, http.MethodPut, "log-level", map[string]string{"level": level}); err != nil {
		return err
	}
	return c.say("it logs from " + level + " on")
}

func (c *controller) reset(ctx context.Context, aor string) error {
	if err := c.change(ctx, http.MethodPost, "watchers/"+url.PathEscape(aor)+"/reset", nil); err != nil {
		return err
	}
	return c.say(aor + " is forgiven")
}

func (c *controller) unban(ctx context.Context, aor string) error {
	if err := c.change(ctx, http.MethodPost, "watchers/"+url.PathEscape(aor)+"/unban", nil); err != nil {
		return err
	}
	return c.say(aor + " is banned no more")
}
