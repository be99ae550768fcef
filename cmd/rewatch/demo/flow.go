package demo

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"rewatch/integration/peers"
)

// flow makes lines of the ladder from what the peers' sockets report. One goroutine owns the
// terminal, so that no peer ever waits for it.
//
// The core and the server together report every hop, so the reports of the phones are not
// needed. A message that rewatch passes on takes two hops and is one line: after the first hop the
// line waits a moment for the second. Only what passed a socket is drawn.
type flow struct {
	l       *ladder
	start   time.Time
	verbose bool
	script  *script
	short   bool                 // draw what the core passes on as one line, too
	asked   map[string]time.Time // when the core got each NOTIFY, for the notes

	mu    sync.Mutex
	where map[netip.AddrPort]lane // the peers; every other address is rewatch's

	work  chan func()
	ended chan struct{}
	queue []*line
	last  time.Duration
}

// line is one line of the ladder that is not printed yet.
type line struct {
	at    time.Time
	arrow arrow
	about *peers.Passed // the message; nil: draw is called instead
	draw  func()
	// until is how long the line waits for its second hop; zero: not at all.
	until time.Time
}

// due says whether the line may be printed: it waits no longer for its second hop, and no earlier
// line can come any more.
func (ln *line) due(now time.Time) bool {
	return !now.Before(ln.until) && now.Sub(ln.at) >= settled
}

const (
	// patience is how long a line waits for rewatch to pass its message on; that
	// takes less than a millisecond unless the machine is busy.
	patience = 60 * time.Millisecond
	// settled is how late a report of the peers may be.
	settled = 20 * time.Millisecond
	// lull is the shortest pause that is shown by an empty line.
	lull = 250 * time.Millisecond
)

func newFlow(l *ladder, verbose bool) *flow {
	f := &flow{
		l:       l,
		start:   time.Now(),
		verbose: verbose,
		where:   make(map[netip.AddrPort]lane),
		asked:   make(map[string]time.Time),
		script:  new(script),
		work:    make(chan func(), 8192),
		ended:   make(chan struct{}),
	}
	go f.run()
	return f
}

func (f *flow) run() {
	defer close(f.ended)
	tick := time.NewTicker(settled / 2)
	defer tick.Stop()
	for {
		select {
		case do, ok := <-f.work:
			if !ok {
				f.print(time.Time{})
				return
			}
			do()
			f.print(time.Now())
		case now := <-tick.C:
			f.print(now)
		}
	}
}

// close prints what is left.
func (f *flow) close() {
	close(f.work)
	<-f.ended
}

// trace takes the peers' reports. If the terminal is stopped, lines are lost, and SIP goes on.
func (f *flow) trace(p peers.Passed) {
	select {
	case f.work <- func() { f.passed(p) }:
	default:
	}
}

// place assigns an address to a lane.
func (f *flow) place(a netip.AddrPort, at lane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.where[a] = at
}

// chapter begins a new part: what it is about, whose phone it shows, and the
// numbering of its messages. Without one the lines are drawn short.
func (f *flow) chapter(title, phone string, s *script) {
	f.after(func() {
		f.short = s == nil
		if s == nil {
			s = new(script)
		}
		f.script, f.start, f.last = s, time.Now(), 0
		f.l.head(title, [lanes]string{phone, "core", "rewatch", "server"})
	})
}

// note writes a text beside a lane, in its place among the messages.
func (f *flow) note(on lane, text string, t tone) {
	at := time.Now()
	f.work <- func() {
		f.enqueue(&line{at: at, draw: func() { f.l.note(at.Sub(f.start), on, text, t) }})
	}
}

// after calls do when all earlier lines are printed, and waits until do returns.
func (f *flow) after(do func()) {
	done := make(chan struct{})
	f.work <- func() {
		f.enqueue(&line{at: time.Now(), draw: func() { do(); close(done) }})
	}
	<-done
}

// enqueue sorts a line into the queue by its time at the socket. Reports do not always come in that
// order.
func (f *flow) enqueue(ln *line) {
	i := len(f.queue)
	for i > 0 && f.queue[i-1].at.After(ln.at) {
		i--
	}
	f.queue = slices.Insert(f.queue, i, ln)
}

func (f *flow) lane(a netip.AddrPort) lane {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l, ok := f.where[a]; ok {
		return l
	}
	return laneRewatch
}

// passed makes a line of a hop, or lengthens the one of its first hop.
func (f *flow) passed(p peers.Passed) {
	from, to := f.lane(p.From), f.lane(p.To)
	if p.Peer != "core" && p.Peer != "server" || p.Method == "OPTIONS" {
		return // OPTIONS is how rewatch asks whether its neighbours live
	}
	again := p.Repeat && p.Peer == "server" && p.Sent && p.Status == 0
	if p.Repeat && !again {
		return
	}
	if f.joins(from) && f.passOn(p, from, to) {
		return
	}
	ln := &line{at: p.At, about: &p, arrow: arrow{
		at: p.At.Sub(f.start), from: from, to: to,
		labels: labels(p, from), response: p.Status != 0, lost: p.Lost, tone: toneOf(p),
	}}
	switch {
	case again:
		ln.arrow.labels, ln.arrow.tone = []string{p.Method + " again"}, faint
	case f.joins(to) && !p.Lost:
		ln.until = p.At.Add(patience)
	}
	f.enqueue(ln)
}

// joins says whether a message that comes to a lane and goes on from there is drawn as one line.
func (f *flow) joins(at lane) bool { return at == laneRewatch || f.short && at == laneCore }

// passOn lengthens the line that waits for this hop.
func (f *flow) passOn(p peers.Passed, from, to lane) bool {
	i := slices.IndexFunc(f.queue, func(ln *line) bool {
		return !ln.until.IsZero() && ln.arrow.to == from && ln.arrow.from != to && identity(*ln.about) == identity(p)
	})
	if i < 0 {
		return false
	}
	ln := f.queue[i]
	ln.arrow.to, ln.arrow.lost, ln.until = to, p.Lost, time.Time{}
	if f.joins(to) && !p.Lost {
		ln.until = p.At.Add(patience)
	}
	return true
}

// identity is what a message keeps from hop to hop.
func identity(p peers.Passed) string {
	return fmt.Sprintf("%s %s %d %d", p.CallID, p.Method, p.CSeq, p.Status)
}

// print draws the lines at the head of the queue that are due. The zero time draws all.
func (f *flow) print(now time.Time) {
	for len(f.queue) > 0 {
		ln := f.queue[0]
		if !now.IsZero() && !ln.due(now) {
			return
		}
		f.queue = f.queue[1:]
		if ln.draw != nil {
			ln.draw()
			continue
		}
		f.drawArrow(ln)
	}
}

func (f *flow) drawArrow(ln *line) {
	a, p := ln.arrow, *ln.about
	if a.at-f.last > lull {
		f.l.pause()
	}
	f.last = a.at
	if text := f.foretell(a, p); text != "" {
		f.l.note(a.at, laneRewatch, text, telling)
	}
	a.step = f.script.number(a, p)
	f.l.arrow(a)
	if f.verbose {
		f.l.text(p.Text)
	}
}

// foretell says what a message of rewatch's own means, from what passed before.
func (f *flow) foretell(a arrow, p peers.Passed) string {
	switch {
	case p.Method == "NOTIFY" && p.Status == 0 && a.from == laneServer && !p.Repeat:
		f.asked[identity(p)] = p.At
	case p.Method == "NOTIFY" && p.Status >= 300 && a.from == laneRewatch:
		p.Status = 0
		if at, ok := f.asked[identity(p)]; ok {
			return fmt.Sprintf("no answer for %.2f s: this NOTIFY has failed", p.At.Sub(at).Seconds())
		}
	case p.Method == "REGISTER" && p.Status == 0 && a.from == laneRewatch && a.to == laneCore:
		return "the threshold is passed: rewatch signs the user out"
	}
	return ""
}

func toneOf(p peers.Passed) tone {
	switch {
	case p.Status == 0:
		return request
	case p.Status < 300:
		return good
	default:
		return bad
	}
}

var (
	basicStatus = regexp.MustCompile(`<basic>(\w+)</basic>`)
	attemptLine = regexp.MustCompile(`(?m)^Attempt: (\d+ of \d+)`)
	noExpires   = regexp.MustCompile(`(?mi)^Expires: *0\r?$`)
)

// labels gives short descriptions of a message, the longest first.
func labels(p peers.Passed, from lane) []string {
	if p.Status >= 200 && p.Status < 300 {
		return []string{fmt.Sprintf("%d OK (%s)", p.Status, p.Method), fmt.Sprintf("%d %s", p.Status, p.Method)}
	}
	if p.Status != 0 {
		return []string{strings.TrimPrefix(p.StartLine, "SIP/2.0 "), fmt.Sprintf("%d %s", p.Status, p.Method)}
	}
	switch p.Method {
	case "REGISTER":
		if noExpires.MatchString(p.Text) {
			return []string{"REGISTER Expires: 0", "REGISTER exp=0"}
		}
		if from != lanePhone {
			return []string{"REGISTER (third party)", "REGISTER"}
		}
	case "SUBSCRIBE":
		return []string{"SUBSCRIBE presence", "SUBSCRIBE"}
	case "NOTIFY":
		if m := basicStatus.FindStringSubmatch(p.Text); m != nil {
			return []string{"NOTIFY " + m[1]}
		}
	case "MESSAGE":
		if m := attemptLine.FindStringSubmatch(p.Text); m != nil {
			return []string{"MESSAGE, attempt " + m[1], "MESSAGE " + m[1]}
		}
	}
	return []string{p.Method}
}
