package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"rewatch/cmd/rewatch/check"
	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
	"rewatch/cmd/rewatch/ctl"
	"rewatch/cmd/rewatch/demo"
	"rewatch/cmd/rewatch/health"
	"rewatch/cmd/rewatch/manual"
	"rewatch/cmd/rewatch/sidecar"
	"rewatch/cmd/rewatch/simulate"
)

// command is one word after "rewatch".
type command struct {
	name    string
	summary string
	flags   []string // for the completion of a shell
	run     func(context.Context, cli.Call) error
}

// commands lists them as help shows them. It is a function because help is one
// of them.
func commands() []command {
	return []command{
		{"run", "run the sidecar (also without any command)", nil, runCommand},
		{"check", "check the configuration: values, files, names; listens nowhere", nil, check.Command},
		{"env", "list the variables with their values; -file as a file for systemd, -markdown as a table of Markdown", []string{"-file", "-markdown"}, config.Command},
		{"health", "ask a rewatch that runs with the same environment whether it is alive; -ready whether it is ready", []string{"-ready"}, health.Command},
		{"ctl", "change a rewatch that runs: hold, resume, dry-run, log-level, reset, unban, status; -h lists them", ctl.Words(), ctl.Command},
		{"demo", "show a recovery on loopback, with a core, a server and phones of its own", []string{"-keep", "-plain", "-v"}, demo.Command},
		{"simulate", "show what the rules do to millions of watchers in an outage", []string{"-scenario", "-redeliver", "-seed", "-svg", "-markdown", "-h"}, simulate.Command},
		{"completion", "print the completion for bash, zsh or fish", manual.Shells, completionCommand},
		{"version", "print the version", nil, versionCommand},
		{"help", "print this; -man the manual page", []string{"-man"}, helpCommand},
	}
}

func findCommand(name string) (command, bool) {
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	case "-v", "-version", "--version":
		name = "version"
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if i < 0 {
		return command{}, false
	}
	return all[i], true
}

func runCommand(ctx context.Context, c cli.Call) error {
	if err := c.NoArguments("run"); err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1) // from here on SIGHUP does not end the process
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	cfg, err := config.Load(c.Environ)
	if err != nil {
		return err
	}
	if err := check.FindServer(ctx, cfg, net.DefaultResolver); err != nil {
		return err
	}
	again := sidecar.Reload{Asked: hangups, Load: func() (config.Config, error) { return config.Load(c.Environ) }}
	return sidecar.Run(ctx, cfg, again, c.Stdout)
}

func versionCommand(_ context.Context, c cli.Call) error {
	if err := c.NoArguments("version"); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.Stdout, cli.Version())
	return err
}

func completionCommand(_ context.Context, c cli.Call) error {
	if len(c.Args) != 1 || !slices.Contains(manual.Shells, c.Args[0]) {
		return cli.UsageError("\"completion\" takes one of " + strings.Join(manual.Shells, ", "))
	}
	_, err := io.WriteString(c.Stdout, manual.Completion(c.Args[0], manualCommands()))
	return err
}

// manualCommands is the list for the manual.
func manualCommands() []manual.Command {
	var all []manual.Command
	for _, c := range commands() {
		all = append(all, manual.Command{Name: c.name, Summary: c.summary, Flags: c.flags})
	}
	return all
}

func helpCommand(_ context.Context, c cli.Call) error {
	if len(c.Args) == 1 && (c.Args[0] == "-man" || c.Args[0] == "--man") {
		_, err := io.WriteString(c.Stdout, manual.Page(cli.ShortVersion(), manualCommands()))
		return err
	}
	const head = `rewatch stands in front of a presence server, watches its NOTIFYs, and when one
fails it tells the watcher to subscribe again.

Usage: rewatch [command]

`
	const tail = `
It is configured by environment variables alone; REWATCH_SERVER is the only one
that has to be set. "rewatch env" lists them all.

  REWATCH_SERVER='sip:127.0.0.1:5070;transport=udp' rewatch check
  REWATCH_SERVER='sip:127.0.0.1:5070;transport=udp' rewatch

Exit status: 0 done, 1 failed or wrongly configured, 2 wrong command line.
`
	var list strings.Builder
	for _, cmd := range commands() {
		fmt.Fprintf(&list, "  %-10s %s\n", cmd.name, cmd.summary)
	}
	_, err := io.WriteString(c.Stdout, head+list.String()+tail)
	return err
}
