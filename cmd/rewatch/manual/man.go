// Package manual writes what is installed beside the program: the manual page and the
// completion of shells. Both are made from the tables of commands and variables.
package manual

import (
	"fmt"
	"regexp"
	"strings"

	"rewatch/cmd/rewatch/config"
)

// Command is one word after "rewatch".
type Command struct {
	Name    string
	Summary string
	Flags   []string // the words that may follow
}

// Page is the manual page, rewatch(8), in the language of man(7).
func Page(version string, commands []Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH REWATCH 8 \"\" %q \"System Administration\"\n", "rewatch "+version)
	b.WriteString(head)
	b.WriteString(".SH COMMANDS\n")
	for _, c := range commands {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(strings.Join(append([]string{c.Name}, c.Flags...), " ")), roff(c.Summary))
	}
	b.WriteString(environment)
	group := ""
	for _, v := range config.Variables() {
		if v.Group != group {
			group = v.Group
			fmt.Fprintf(&b, ".SS %s\n", roff(group))
		}
		fmt.Fprintf(&b, ".TP\n.B %s\n%s", roff(v.Name), text(v.Doc))
		switch {
		case v.Default != "":
			fmt.Fprintf(&b, ".br\nDefault: \\f[I]%s\\f[]\n", roff(v.Default))
		case v.Shown != "":
			fmt.Fprintf(&b, ".br\nDefault: %s\n", roff(v.Shown))
		}
	}
	b.WriteString(tail)
	return b.String()
}

const head = `.ad l
.nh
.SH NAME
rewatch \- SIP sidecar that recovers presence subscriptions whose NOTIFY failed
.SH SYNOPSIS
.B rewatch
.RI [ command ]
.SH DESCRIPTION
.B rewatch
stands in front of an unmodified presence server, watches what becomes of each NOTIFY,
and when one fails it tells the watcher by a SIP MESSAGE to subscribe again.
A user who does not come back is signed out, or banned, or only left unsubscribed, and
an alarm is raised; the alarm clears when the user is back.
.PP
All else passes byte for byte.
Without a command it is the sidecar.
`

const environment = `.SH ENVIRONMENT
The environment is the whole configuration.
.B REWATCH_SERVER
is the only variable that has to be set.
A wrong value stops the start with one line that names the variable, the value and what
is accepted.
`

const tail = `.SH SIGNALS
.TP
.B SIGTERM, SIGINT
Drain and end:
.B /readyz
fails from now on, what is in flight is finished for at most
.BR REWATCH_DRAIN .
.SH FILES
.TP
.I /etc/rewatch/rewatch.env
The variables of the service, read by systemd.
.TP
.I /var/lib/rewatch/state.db
What survives a restart of the service (REWATCH_STATE).
.TP
.I /usr/share/snmp/mibs/REWATCH-MIB.txt
The notifications of REWATCH_ALARM_SNMP.
.TP
.I /usr/share/doc/rewatch
The guides for operators, alert rules and the dashboard.
.SH EXIT STATUS
0 done, 1 failed or wrongly configured, 2 wrong command line.
.SH SEE ALSO
RFC 3261, RFC 6665, RFC 3428, 3GPP TS 24.229
`

// quoted finds what stands between single quotes in a meaning; an apostrophe has no
// blank or bracket before it.
var quoted = regexp.MustCompile(`(^|[ (])'([^']+)'`)

// text is a meaning with its quoted parts in bold.
func text(doc string) string {
	s := quoted.ReplaceAllString(doc, "$1\x01$2\x02")
	s = strings.NewReplacer("\x01", `\f[B]`, "\x02", `\f[]`).Replace(roff(s))
	return s + "\n"
}

// roff keeps a text from being taken for requests or escapes.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "~", `\(ti`, "^", `\(ha`, "`", `\(ga`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
