package config

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"rewatch/cmd/rewatch/cli"
)

// Command is "rewatch env": it prints the table of variables, which is made from the tags of Config. It
// does not check the values, because an operator reads the table to correct them.
func Command(_ context.Context, c cli.Call) error {
	table := func() string { return envText(c.Environ) }
	switch {
	case len(c.Args) == 1 && (c.Args[0] == "-markdown" || c.Args[0] == "--markdown"):
		table = envMarkdown
	case len(c.Args) == 1 && (c.Args[0] == "-file" || c.Args[0] == "--file"):
		table = envFile
	case len(c.Args) > 0:
		return cli.UsageError(fmt.Sprintf("%q takes -file, -markdown or nothing, but got %q", "env", strings.Join(c.Args, " ")))
	}
	_, err := io.WriteString(c.Stdout, table())
	return err
}

// The widths of the columns of envText.
const (
	nameWidth  = 29
	valueWidth = 27
)

// envText is the table for a terminal: each variable with the value in effect,
// marked where the environment set it, and its meaning.
func envText(environ cli.Environ) string {
	var b strings.Builder
	b.WriteString("Variables of rewatch with the values in effect (* set in the environment).\n")
	group := ""
	for _, v := range Variables() {
		if v.Group != group {
			group = v.Group
			fmt.Fprintf(&b, "\n%s\n", group)
		}
		writeRow(&b, v, environ)
	}
	return b.String()
}

func writeRow(b *strings.Builder, v Variable, environ cli.Environ) {
	mark, value := " ", v.Shown
	if set, ok := environ[v.Name]; ok && set != "" {
		mark, value = "*", WithoutSecrets(set)
		if v.Secret {
			value = masked
		}
	}
	if value == "" {
		value = "-"
	}
	lines := cli.Wrapped(v.Doc, cli.DocWidth)
	value = printable(value)
	if utf8.RuneCountInString(value) > valueWidth {
		fmt.Fprintf(b, "%s %-*s %s\n", mark, nameWidth, v.Name, value)
		fmt.Fprintf(b, "  %-*s %-*s %s\n", nameWidth, "", valueWidth, "", lines[0])
	} else {
		fmt.Fprintf(b, "%s %-*s %-*s %s\n", mark, nameWidth, v.Name, valueWidth, value, lines[0])
	}
	for _, line := range lines[1:] {
		fmt.Fprintf(b, "  %-*s %-*s %s\n", nameWidth, "", valueWidth, "", line)
	}
}

// printable keeps a value (a template has several lines) on one line of the table.
func printable(s string) string {
	if q := fmt.Sprintf("%q", s); q != `"`+s+`"` && strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		return q
	}
	return s
}

// code finds what stands between single quotes in a meaning; an apostrophe has
// no blank or bracket before it.
var code = regexp.MustCompile(`(^|[ (])'([^']+)'`)

// envMarkdown is the table of README.md. It shows defaults, never values.
func envMarkdown() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, v := range Variables() {
		shown := v.Shown
		if v.Default != "" {
			shown = "`" + strings.ReplaceAll(v.Default, ",", ", ") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.Name, shown, code.ReplaceAllString(v.Doc, "$1`$2`"))
	}
	return b.String()
}

// envFile is the file of a service, for systemd's EnvironmentFile= and for a shell:
// every variable with its default, commented out.
func envFile() string {
	var b strings.Builder
	b.WriteString("# The variables of rewatch. REWATCH_SERVER is the only one that has to be set.\n" +
		"# Remove the # in front of a line to set its variable; values stand in single quotes.\n" +
		"# \"rewatch check\" tells what is wrong with them.\n")
	group := ""
	for _, v := range Variables() {
		if v.Group != group {
			group = v.Group
			fmt.Fprintf(&b, "\n## %s\n", group)
		}
		b.WriteString("\n")
		doc := v.Doc
		if v.Default == "" && v.Shown != "" {
			doc += "; default: " + v.Shown
		}
		const width = 96
		for _, line := range cli.Wrapped(doc, width) {
			fmt.Fprintf(&b, "# %s\n", line)
		}
		fmt.Fprintf(&b, "#%s='%s'\n", v.Name, v.Default)
	}
	return b.String()
}
