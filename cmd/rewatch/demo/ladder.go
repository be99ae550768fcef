package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// lane is one vertical line of the ladder.
type lane int

// The lanes from left to right: the way of a SUBSCRIBE.
const (
	lanePhone lane = iota
	laneCore
	laneRewatch
	laneServer
	lanes
)

// tone says what a piece of text means. Each tone has its colour.
type tone int

const (
	plain tone = iota
	faint
	frame   // the lanes
	own     // rewatch's own lane
	request // a request on its way
	good    // a 2xx
	bad     // any other response, and what is lost
	telling // a note
	alarmed // an alarm
)

// arrow is one line of the ladder: a message that went from a lane to another.
type arrow struct {
	at       time.Duration
	step     int // of the reference flow; 0: none
	from, to lane
	// labels are descriptions of the message, the longest first. The first that has room is
	// shown.
	labels   []string
	response bool
	lost     bool
	tone     tone
}

// ladder draws the flow of messages, one line each, as wide as the terminal.
type ladder struct {
	w      io.Writer
	colour bool
	x      [lanes]int
	width  int
	gap    int
}

const (
	minWidth, maxWidth = 80, 120
	firstLane          = 13 // room for the time and the step
	lastMargin         = 6  // room for half of the last lane's name
)

func newLadder(w io.Writer, width int, colour bool) *ladder {
	l := &ladder{w: w, colour: colour, width: min(max(width, minWidth), maxWidth)}
	l.gap = (l.width - firstLane - lastMargin) / int(lanes-1)
	for i := range l.x {
		l.x[i] = firstLane + i*l.gap
	}
	return l
}

// head opens a chapter: what it is about, and the names over the lanes.
func (l *ladder) head(title string, names [lanes]string) {
	r := l.row()
	for i, name := range names {
		t := plain
		if lane(i) == laneRewatch {
			t = own
		}
		r.centre(l.x[i], name, t)
	}
	l.say("", plain)
	l.say(title, telling)
	l.say("", plain)
	l.print(r)
	l.print(l.lanesRow())
}

// say prints a line of text outside the ladder.
func (l *ladder) say(text string, t tone) {
	r := make(row, 0, len(text)+1)
	for _, c := range " " + text {
		r = append(r, cell{c, t})
	}
	l.print(r)
}

// arrow prints one message.
func (l *ladder) arrow(a arrow) {
	r := l.lanesRow()
	l.margin(r, a.at, a.step)
	l.draw(r, a)
	l.print(r)
}

// text prints a message in full under its arrow.
func (l *ladder) text(message string) {
	for line := range strings.Lines(strings.TrimSpace(message)) {
		text := strings.Repeat(" ", firstLane) + strings.TrimRight(line, "\r\n")
		if l.colour {
			text = colours[faint] + text + colours[plain]
		}
		_, _ = io.WriteString(l.w, text+"\n")
	}
}

// pause prints a line with the lanes alone, to show that time has passed.
func (l *ladder) pause() { l.print(l.lanesRow()) }

// note prints a text at a lane.
func (l *ladder) note(at time.Duration, on lane, text string, t tone) {
	r := l.lanesRow()
	l.margin(r, at, 0)
	if on == laneServer { // beside it there is only one side to write on
		r.put(l.x[on]-utf8.RuneCountInString(text)-1, text, t)
	} else {
		r.centre(l.x[on], " "+text+" ", t)
	}
	l.print(r)
}

func (l *ladder) margin(r row, at time.Duration, step int) {
	r.put(1, fmt.Sprintf("%6.3f", at.Seconds()), faint)
	if step > 0 {
		r.put(8, fmt.Sprintf("%3d", step), telling)
	}
}

func (l *ladder) draw(r row, a arrow) {
	x, end, dir := l.x[a.from], l.x[a.to], 1
	if a.to < a.from {
		dir = -1
	}
	dash := '─'
	if a.response {
		dash = '╌'
	}
	for at := x + dir; at != end; at += dir {
		switch at { // it passes through
		case l.x[laneRewatch]:
			r[at] = cell{'╂', own}
		case l.x[laneCore]:
			r[at] = cell{'┼', frame}
		default:
			r[at] = cell{dash, a.tone}
		}
	}
	head := '▶'
	if dir < 0 {
		head = '◀'
	}
	r[end-dir] = cell{head, a.tone}
	if a.lost {
		r[end-dir], r[end-2*dir], r[end-3*dir] = cell{' ', plain}, cell{' ', plain}, cell{'✗', bad}
	}
	// The label stands in the first stretch, beside the sender.
	r.centre(x+dir*l.gap/2, " "+l.fitting(a.labels)+" ", a.tone)
}

// fitting gives the first label beside which a part of the arrow can still be seen.
func (l *ladder) fitting(labels []string) string {
	room := l.gap - 6
	for _, label := range labels {
		if utf8.RuneCountInString(label) <= room {
			return label
		}
	}
	if len(labels) == 0 {
		return ""
	}
	last := []rune(labels[len(labels)-1])
	return string(last[:room-1]) + "…"
}

func (l *ladder) row() row {
	r := make(row, l.width)
	for i := range r {
		r[i] = cell{' ', plain}
	}
	return r
}

func (l *ladder) lanesRow() row {
	r := l.row()
	for i, x := range l.x {
		r[x] = cell{'│', frame}
		if lane(i) == laneRewatch {
			r[x] = cell{'┃', own}
		}
	}
	return r
}

func (l *ladder) print(r row) { _, _ = io.WriteString(l.w, r.text(l.colour)+"\n") }

// cell is one character of a row.
type cell struct {
	r    rune
	tone tone
}

// row is one line before it is printed.
type row []cell

func (r row) put(x int, text string, t tone) {
	for _, c := range text {
		if x >= 0 && x < len(r) {
			r[x] = cell{c, t}
		}
		x++
	}
}

// centre writes text with its middle at x. It is moved to the side if it would not be on the line as
// a whole.
func (r row) centre(x int, text string, t tone) {
	n := utf8.RuneCountInString(text)
	r.put(max(min(x-n/2, len(r)-n), 0), text, t)
}

// text gives the row as a string, with colours or without.
func (r row) text(colour bool) string {
	var b strings.Builder
	now := plain
	for _, c := range r {
		if colour && c.tone != now {
			b.WriteString(colours[c.tone])
			now = c.tone
		}
		b.WriteRune(c.r)
	}
	text := strings.TrimRight(b.String(), " ")
	if now != plain {
		text += colours[plain]
	}
	return text
}

// colours are the escape sequences (SGR) of the tones. Each resets the one before. Only the eight
// colours that every terminal has are used.
var colours = [...]string{
	plain:   "\x1b[0m",
	faint:   "\x1b[0;2m",
	frame:   "\x1b[0;2m",
	own:     "\x1b[0;1;35m",
	request: "\x1b[0;36m",
	good:    "\x1b[0;32m",
	bad:     "\x1b[0;31m",
	telling: "\x1b[0;1m",
	alarmed: "\x1b[0;1;31m",
}
