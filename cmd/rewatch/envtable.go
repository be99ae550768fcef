package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// envCommand prints the table of variables from the tags of Config. It takes no
// notice of wrong values: it is what one reads to mend them.
func envCommand(_ context.Context, c call) error {
	table := func() string { return envText(c.environ) }
	switch {
	case len(c.args) == 1 && (c.args[0] == "-markdown" || c.args[0] == "--markdown"):
		table = envMarkdown
	case len(c.args) > 0:
		return usageError(fmt.Sprintf("%q takes -markdown or nothing, but got %q", "env", strings.Join(c.args, " ")))
	}
	_, err := io.WriteString(c.stdout, table())
	return err
}

// The widths of the columns of envText.
const (
	nameWidth  = 29
	valueWidth = 27
	docWidth   = 60
)

// envText is the table for a terminal: each variable with the value in effect,
// marked where the environment set it, and its meaning.
func envText(environ environment) string {
	var b strings.Builder
	b.WriteString("Variables of rewatch with the values in effect (* set in the environment).\n")
	group := ""
	for _, v := range variables() {
		if v.Group != group {
			group = v.Group
			fmt.Fprintf(&b, "\n%s\n", group)
		}
		writeRow(&b, v, environ)
	}
	return b.String()
}

func writeRow(b *strings.Builder, v variable, environ environment) {
	mark, value := " ", v.Shown
	if set, ok := environ[v.Name]; ok && set != "" {
		mark, value = "*", withoutUserinfo(set)
		if v.Secret {
			value = masked
		}
	}
	if value == "" {
		value = "-"
	}
	lines := wrapped(v.Doc, docWidth)
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

// wrapped breaks a text between words.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// code finds what stands between single quotes in a meaning; an apostrophe has
// no blank or bracket before it.
var code = regexp.MustCompile(`(^|[ (])'([^']+)'`)

// envMarkdown is the table of the README. It shows defaults, never values.
func envMarkdown() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, v := range variables() {
		shown := v.Shown
		if v.Default != "" {
			shown = "`" + strings.ReplaceAll(v.Default, ",", ", ") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.Name, shown, code.ReplaceAllString(v.Doc, "$1`$2`"))
	}
	return b.String()
}
