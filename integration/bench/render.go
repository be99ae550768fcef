package main

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// text shows the tables in columns, for a terminal.
func (t *tables) text() string {
	var b strings.Builder
	for _, network := range t.networks {
		rows := t.rows(network)
		widths := widthsOf(rows)
		for _, row := range rows {
			for i, c := range row {
				pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
				if i == 0 {
					b.WriteString(c + pad)
				} else {
					b.WriteString("  " + pad + c)
				}
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func widthsOf(rows [][]string) []int {
	w := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			w[i] = max(w[i], utf8.RuneCountInString(c))
		}
	}
	return w
}

const (
	startMark = "<!-- bench:start -->"
	endMark   = "<!-- bench:end -->"
)

// markdown shows the tables for the README, between marks by which they are
// found when they are to be replaced.
func (t *tables) markdown(m machine, p plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nMeasured with `make bench` on %s. Each cell is the median of %d interleaved rounds; "+
		"a ratio is that of figures of the same round, with the least and the greatest.\n", startMark, m, p.rounds)
	for _, network := range t.networks {
		b.WriteString("\n")
		for i, row := range t.rows(network) {
			b.WriteString("| " + strings.Join(row, " | ") + " |\n")
			if i == 0 {
				b.WriteString("|---" + strings.Repeat("|--:", len(row)-1) + "|\n")
			}
		}
	}
	b.WriteString(endMark + "\n")
	return b.String()
}

// insert replaces what stands between the marks in a file.
func insert(file, text string) error {
	old, err := os.ReadFile(file) //nolint:gosec // named by the caller
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), startMark)
	_, after, ended := strings.Cut(rest, endMark)
	if !ok || !ended {
		return fmt.Errorf("%s has no %s and %s", file, startMark, endMark)
	}
	return os.WriteFile(file, []byte(before+strings.TrimSuffix(text, "\n")+after), 0o600)
}
