package main

import (
	"strings"
	"testing"

	"rewatch/cmd/rewatch/cli"
)

func TestCommandLine(t *testing.T) {
	with := func(name, value string) cli.Environ {
		return cli.Environ{"REWATCH_SERVER": "sip:127.0.0.1:5070;transport=udp", name: value}
	}
	good := with("REWATCH_LISTEN", "udp://127.0.0.1:5060")
	for _, c := range []struct {
		name    string
		args    string
		environ cli.Environ
		status  int
		out     string
		err     string
	}{
		{"help", "help", nil, exitOK, "Usage: rewatch", ""},
		{"-h", "-h", nil, exitOK, "Usage: rewatch", ""},
		{"version", "version", nil, exitOK, "rewatch ", ""},
		{"env", "env", nil, exitOK, "REWATCH_SERVER", ""},
		{"markdown", "env -markdown", nil, exitOK, "| `REWATCH_SERVER` | (required) |", ""},
		{"file", "env -file", nil, exitOK, "#REWATCH_SERVER=''", ""},
		{"manual", "help -man", nil, exitOK, ".TH REWATCH 8", ""},
		{"completion", "completion bash", nil, exitOK, "complete -F _rewatch rewatch", ""},
		{"completion of what", "completion", nil, exitUsage, "", "bash, zsh, fish"},
		{"health of nobody", "health", with("REWATCH_ADMIN_LISTEN", "off"), exitFailed, "", "REWATCH_ADMIN_LISTEN=off"},
		{"unknown", "fly", nil, exitUsage, "", `unknown command "fly"`},
		{"arguments", "version please", nil, exitUsage, "", "takes no arguments"},
		{"flag of env", "env -json", nil, exitUsage, "", "-markdown"},
		{"check good", "check", good, exitOK, "The configuration is good.", ""},
		{"check wrong", "check", with("REWATCH_THRESHOLD", "0"), exitFailed, `WRONG  REWATCH_THRESHOLD="0": want`, ""},
		{"run wrong", "run", with("REWATCH_THRESHOLD", "0"), exitFailed, "", `REWATCH_THRESHOLD="0": want`},
		{"run without its server", "run", with("REWATCH_SERVER", "sip:presence.invalid:5070"), exitFailed, "", "REWATCH_SERVER: sip:presence.invalid:5070: the name presence.invalid "},
		{"run without a word", "", cli.Environ{}, exitFailed, "", "REWATCH_SERVER is not set: want"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, err strings.Builder
			status := run(strings.Fields(c.args), c.environ, &out, &err)
			if status != c.status || !strings.Contains(out.String(), c.out) || !strings.Contains(err.String(), c.err) {
				t.Errorf("status %d, want %d\nstdout: %s\nstderr: %s", status, c.status, &out, &err)
			}
			if c.err == "" && err.Len() > 0 || c.status != exitOK && c.err != "" && strings.Count(err.String(), "\n") != 1 {
				t.Errorf("stderr: %q", err.String())
			}
		})
	}
}

// TestFlagsAreTaken: what a shell completes, the command knows.
func TestFlagsAreTaken(t *testing.T) {
	for _, cmd := range commands() {
		for _, flag := range cmd.flags {
			var out, err strings.Builder
			if cmd.name == "demo" || cmd.name == "simulate" || cmd.name == "ctl" { // which would run
				run([]string{cmd.name, "-h"}, nil, &out, &err)
				if flag != "-h" && !strings.Contains(out.String(), flag) {
					t.Errorf("%s -h says nothing of %s", cmd.name, flag)
				}
			} else if run([]string{cmd.name, flag}, nil, &out, &err) == exitUsage {
				t.Errorf("%s %s: %s", cmd.name, flag, &err)
			}
		}
	}
}
