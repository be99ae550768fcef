package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
)

// call is one command with what it may use.
type call struct {
	args    []string
	environ environment
	stdout  io.Writer
}

// command is one word after "rewatch".
type command struct {
	name    string
	summary string
	run     func(context.Context, call) error
}

// commands lists them as help shows them. It is a function because help is one
// of them.
func commands() []command {
	return []command{
		{"run", "run the sidecar (also without any command)", runCommand},
		{"check", "check the configuration: values, files, names; listens nowhere", checkCommand},
		{"env", "list the variables with their values; -markdown for the README", envCommand},
		{"demo", "show a recovery on loopback, with a core, a server and phones of its own", demoCommand},
		{"simulate", "show what the rules do to millions of watchers in an outage", simulateCommand},
		{"version", "print the version", versionCommand},
		{"help", "print this", helpCommand},
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

func runCommand(ctx context.Context, c call) error {
	if err := c.noArguments("run"); err != nil {
		return err
	}
	cfg, err := loadConfig(c.environ)
	if err != nil {
		return err
	}
	if err := findServer(ctx, cfg, net.DefaultResolver); err != nil {
		return err
	}
	return runServer(ctx, cfg, c.stdout)
}

func demoCommand(ctx context.Context, c call) error {
	return runDemo(ctx, c.args, c.stdout)
}

func versionCommand(_ context.Context, c call) error {
	if err := c.noArguments("version"); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.stdout, versionText())
	return err
}

func helpCommand(_ context.Context, c call) error {
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
		fmt.Fprintf(&list, "  %-9s %s\n", cmd.name, cmd.summary)
	}
	_, err := io.WriteString(c.stdout, head+list.String()+tail)
	return err
}

func (c call) noArguments(name string) error {
	if len(c.args) == 0 {
		return nil
	}
	return usageError(fmt.Sprintf("%q takes no arguments, but got %q; it is configured by the environment (\"rewatch env\")", name, c.args[0]))
}
