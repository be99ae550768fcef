package demo

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var updateDemo = flag.Bool("update-demo", false, "rewrite the golden ladders")

func TestLadder(t *testing.T) {
	tests := []struct {
		file   string
		width  int
		colour bool
	}{
		{"ladder_80.txt", 80, false},
		{"ladder_120.txt", 200, false},
		{"ladder_colour.txt", 80, true},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			var got bytes.Buffer
			drawSample(newLadder(&got, tt.width, tt.colour))
			file := filepath.Join("testdata", tt.file)
			if *updateDemo {
				if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
			}
			if tt.colour {
				return
			}
			for line := range strings.Lines(got.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > min(tt.width, maxWidth) {
					t.Errorf("%d columns: %q", n, line)
				}
			}
		})
	}
}

func drawSample(l *ladder) {
	ms := time.Millisecond
	l.head("Alice: one answer is lost", [lanes]string{"alice", "core", "rewatch", "server"})
	l.arrow(arrow{at: 0, step: 1, from: lanePhone, to: laneCore, labels: []string{"REGISTER"}, tone: request})
	l.arrow(arrow{at: 1 * ms, from: laneCore, to: lanePhone, labels: []string{"200 OK (REGISTER)", "200 REGISTER"}, response: true, tone: good})
	l.arrow(arrow{at: 4 * ms, step: 4, from: laneCore, to: laneServer, labels: []string{"SUBSCRIBE presence", "SUBSCRIBE"}, tone: request})
	l.arrow(arrow{at: 5 * ms, step: 5, from: laneServer, to: laneCore, labels: []string{"200 SUBSCRIBE"}, response: true, tone: good})
	l.arrow(arrow{at: 6 * ms, step: 8, from: lanePhone, to: laneCore, labels: []string{"200 NOTIFY"}, response: true, lost: true, tone: good})
	l.pause()
	l.arrow(arrow{at: 507 * ms, from: laneServer, to: laneRewatch, labels: []string{"NOTIFY again"}, tone: faint})
	l.note(1006*ms, laneRewatch, "no answer for 1.00 s: the NOTIFY has failed", telling)
	l.arrow(arrow{at: 1006 * ms, from: laneRewatch, to: laneServer, labels: []string{"481 Subscription Does Not Exist", "481 (NOTIFY)"}, response: true, tone: bad})
	l.arrow(arrow{at: 1107 * ms, step: 9, from: laneRewatch, to: laneCore, labels: []string{"MESSAGE 1 of 3"}, tone: request})
	l.arrow(arrow{at: 1108 * ms, from: laneServer, to: lanePhone, labels: []string{"200 SUBSCRIBE"}, response: true, tone: good})
	l.note(1109*ms, laneServer, "subscription gone", telling)
	l.note(1110*ms, laneRewatch, "text that would not fit if it stood in the middle", alarmed)
	l.say("That is all.", plain)
}
