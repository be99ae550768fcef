package simulate

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rewatch/policy/simulate"
)

// simulateColumns are the columns of the table.
var columns = []struct {
	name string
	of   func(scene) string
}{
	{"scenario", func(s scene) string { return s.Name }},
	{"users broken", func(s scene) string { return thousands(s.Broken) }},
	{"recovered", func(s scene) string { return thousands(s.Recovered) }},
	{"p50", func(s scene) string { return readableTime(s.P50) }},
	{"p99", func(s scene) string { return readableTime(s.P99) }},
	{"MESSAGEs", func(s scene) string { return thousands(s.Messages) }},
	{"peak/s", func(s scene) string { return thousands(s.PeakMessages) }},
	{"de-REGISTERs", func(s scene) string { return thousands(s.Deregisters) }},
	{"peak/s", func(s scene) string { return thousands(s.PeakDeregisters) }},
	{"wrongly signed out: obeys", func(s scene) string { return thousands(s.WrongBy[simulate.Obeys]) }},
	{"deaf", func(s scene) string { return thousands(s.WrongBy[simulate.Deaf]) }},
	{"lost", func(s scene) string { return thousands(s.WrongBy[simulate.Lost]) }},
	{"strikes left", func(s scene) string { return thousands(s.Strikes) }},
	{"held", func(s scene) string { return readableTime(s.Held) }},
}

// printScenes prints the table, for a terminal or as Markdown.
func printScenes(w io.Writer, scenes []scene, markdown bool) error {
	rows := [][]string{nil}
	for _, c := range columns {
		rows[0] = append(rows[0], c.name)
	}
	for _, s := range scenes {
		var row []string
		for _, c := range columns {
			row = append(row, c.of(s))
		}
		rows = append(rows, row)
	}
	if markdown {
		_, err := io.WriteString(w, markdownTable(rows))
		return err
	}
	_, err := io.WriteString(w, worldLine(scenes[0].Config)+"\n\n"+textTable(rows)+"\n"+legend(scenes))
	return err
}

func worldLine(c simulate.Config) string {
	return fmt.Sprintf("watchers %s, subscriptions each %g, hops %d, replicas %d, time %s, seed %d",
		thousands(c.Watchers), c.Clients.Subscriptions, c.Hops, c.Replicas, readableTime(c.Duration), c.Seed)
}

// legend says what the columns and the scenarios mean.
func legend(scenes []scene) string {
	var b strings.Builder
	b.WriteString("p50 and p99: from the lost NOTIFY, or the return of a dead phone, until all of a user's\n" +
		"subscriptions are back. Wrongly signed out: de-registered though the phone was alive\n" +
		"(and not switched on less than 10 s ago), by what its client does upon a MESSAGE:\n" +
		"obeys; deaf, it has its own refresh only; lost, nor a subscription after a terminating\n" +
		"NOTIFY.\n" +
		"Strikes left: users with MESSAGEs on their count at the end. Held: the longest of any\n" +
		"replica. Peaks: all replicas together.\n\n")
	for _, s := range scenes {
		fmt.Fprintf(&b, "  %-11s %s\n", s.Name, s.Summary)
	}
	return b.String()
}

// textTable aligns numbers to the right and names to the left.
func textTable(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			if i == 0 {
				fmt.Fprintf(&b, "%-*s", widths[i], cell)
				continue
			}
			fmt.Fprintf(&b, "  %*s", widths[i], cell)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func markdownTable(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|---|" + strings.Repeat("---:|", len(row)-1) + "\n")
		}
	}
	return b.String()
}

// thousands writes a number with a mark between thousands.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// readableTime writes a duration rounded to seconds, a short one to tenths of a second.
func readableTime(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
