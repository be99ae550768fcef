// Package cli has what the commands of rewatch share: the arguments of a call, the error for a wrong
// command line, and the layout of text for people.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-isatty"
)

// Environ has the values of the environment variables by their names. It is an argument, so that a
// test and the demo can run a command without a process of its own.
type Environ map[string]string

// Call is one call of a command: its arguments without its name, the environment, and where it
// writes.
type Call struct {
	Args    []string
	Environ Environ
	Stdout  io.Writer
}

// NoArguments is a UsageError if a command that takes no arguments got some.
func (c Call) NoArguments(name string) error {
	if len(c.Args) == 0 {
		return nil
	}
	return UsageError(fmt.Sprintf("%q takes no arguments, but got %q; it is configured by the environment (\"rewatch env\")", name, c.Args[0]))
}

// UsageError says what is wrong with a command line.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// ErrReported is the error of a command that has said what is wrong on its standard output.
var ErrReported = errors.New("reported")

// DocWidth is the width of a text beside the columns of a table, in characters.
const DocWidth = 60

// Wrapped breaks a text between words into lines of at most width characters.
func Wrapped(text string, width int) []string {
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

// Entry is an entry of a help text: a head, padded to width characters, and a text beside it, which
// is wrapped at DocWidth.
func Entry(head string, width int, text string) string {
	var b strings.Builder
	for _, line := range Wrapped(text, DocWidth) {
		fmt.Fprintf(&b, "  %-*s %s\n", width, head, line)
		head = ""
	}
	return b.String()
}

// Colourful says whether to use colours: on a terminal, unless told otherwise
// (https://no-color.org).
func Colourful(w io.Writer, plain bool) bool {
	f, ok := w.(*os.File)
	return ok && !plain && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isatty.IsTerminal(f.Fd())
}
