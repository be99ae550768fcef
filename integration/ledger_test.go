//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A ledger is what the neighbours of rewatch saw of one user.
type ledger struct {
	registered []time.Time // 200s to third-party REGISTERs
	accepted   []moment    // 200s to its SUBSCRIBEs, as its phone saw them
	proven     []moment    // first NOTIFYs that got through, as the server saw it
	failures   []moment    // 481s, as the server saw them
	messages   []notice
	signOuts   []time.Time // de-REGISTERs at the core
	serverTold int         // and at the server
}

// A moment is when something happened to a dialog.
type moment struct {
	callID string
	at     time.Time
}

// A notice is a MESSAGE.
type notice struct {
	moment
	attempt int
	broken  []string // Call-IDs
}

// crossing is how long two messages that pass one another may seem to have come in the
// wrong order, on a machine that is busy.
const crossing = 300 * time.Millisecond

// faults are what was lost or doubled, by what it is.
type faults map[string][]fault

type fault struct {
	p    *casualty
	at   time.Time
	what string
}

func (f faults) add(kind string, p *casualty, at time.Time, format string, args ...any) {
	f[kind] = append(f[kind], fault{p, at, fmt.Sprintf(format, args...)})
}

// What may not happen, whenever a kill comes.
const (
	twice    = "an attempt was made twice"
	outTwice = "signed out twice"
	outAgain = "signed out after its return"
	hangs    = "the recovery hangs"
	alarms   = "not one alarm"
)

// What may happen for a moment's work that a kill took away.
const (
	lostFailure = "a failure is forgotten"
	extra       = "a MESSAGE for what was mended"
	forgotten   = "the registration is forgotten"
)

// What may be committed and then not be done.
const (
	skipped  = "a MESSAGE was counted and not sent"
	presumed = "a de-REGISTER was counted and not sent"
)

// judge looks for faults in the ledger of one, whose state is known to rewatch as s.
func (p *casualty) judge(s recoveryState, threshold int, f faults) {
	p.judgeMessages(threshold, f)
	for _, failed := range p.failures {
		if !p.heardOf(failed.callID) && (s.Phase == "" || s.Phase == "idle") {
			f.add(lostFailure, p, failed.at, "%s", failed.callID)
		}
	}
	p.judgeEnd(s, f)
}

// judgeMessages: attempts rise, one by one but for what a kill cost, and nothing is
// told that is mended.
func (p *casualty) judgeMessages(threshold int, f faults) {
	last := 0
	for i, m := range p.messages {
		switch {
		case p.begunAnew(i):
		case m.attempt <= last:
			f.add(twice, p, m.at, "attempts %v", p.attempts())
		case m.attempt > last+1:
			f.add(skipped, p, m.at, "attempts %v", p.attempts())
		}
		last = m.attempt
		if m.attempt > threshold {
			f.add(twice, p, m.at, "attempt %d", m.attempt)
		}
		for _, id := range m.broken {
			if i := p.mended(id); i >= 0 && m.at.Sub(p.accepted[i].at) > crossing {
				f.add(extra, p, p.accepted[i].at, "attempt %d is about %s, %v after it had subscribed anew", m.attempt, id, m.at.Sub(p.accepted[i].at))
			}
		}
	}
}

// begunAnew says whether a MESSAGE is the first of a new count: its user was signed out before,
// perhaps because a kill took away that it had subscribed anew, and it is about nothing that was
// told before.
func (p *casualty) begunAnew(i int) bool {
	m := p.messages[i]
	told := func(before notice) bool {
		return slices.ContainsFunc(before.broken, func(id string) bool { return slices.Contains(m.broken, id) })
	}
	return m.attempt == 1 && slices.ContainsFunc(p.signOuts, m.at.After) && !slices.ContainsFunc(p.messages[:i], told)
}

func (p *casualty) attempts() (all []int) {
	for _, m := range p.messages {
		all = append(all, m.attempt)
	}
	return all
}

// mended is which of its SUBSCRIBEs took the place of a dialog; -1: none.
func (p *casualty) mended(callID string) int {
	i := slices.IndexFunc(p.accepted, func(m moment) bool { return m.callID == callID })
	if i < 0 || i+1 >= len(p.accepted) {
		return -1
	}
	return i + 1
}

func (p *casualty) heardOf(callID string) bool {
	return slices.ContainsFunc(p.messages, func(m notice) bool { return slices.Contains(m.broken, callID) })
}

// judgeEnd: who takes no notice is given up once, and nobody else is.
func (p *casualty) judgeEnd(s recoveryState, f faults) {
	switch n := len(p.signOuts); {
	case n > 1:
		f.add(outTwice, p, p.signOuts[1], "%d times", n)
	case n == 1 && len(p.registered) > 1 && p.signOuts[0].After(p.registered[1]):
		f.add(outAgain, p, p.signOuts[0], "registered at %v", p.registered)
	case n == 1 && p.serverTold > 1:
		f.add(outTwice, p, p.signOuts[0], "%d times at the server", p.serverTold)
	case n == 1 || len(p.failures) == 0:
	case s.Phase == "exhausted" && s.SignedOut:
		f.add(presumed, p, s.AlarmAt, "attempts %v", p.attempts())
	case s.Phase == "exhausted" && s.Kept:
		f.add(forgotten, p, p.registered[0], "attempts %v", p.attempts())
	case s.Phase != "" && s.Phase != "idle", p.stubborn && p.heardOf(p.failures[0].callID):
		f.add(hangs, p, p.failures[0].at, "%+v", s)
	}
}

// String is its story.
func (p *casualty) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (stubborn %v, silent %v)", p.user, p.stubborn, p.silent)
	line := func(at time.Time, format string, args ...any) {
		fmt.Fprintf(&b, "\n  %s %s", at.Format("15:04:05.000"), fmt.Sprintf(format, args...))
	}
	for _, at := range p.registered {
		line(at, "registered")
	}
	for _, m := range p.accepted {
		line(m.at, "subscribed %s", m.callID)
	}
	for _, m := range p.proven {
		line(m.at, "NOTIFY passed in %s", m.callID)
	}
	for _, m := range p.failures {
		line(m.at, "481 in %s", m.callID)
	}
	for _, m := range p.messages {
		line(m.at, "MESSAGE %d about %v", m.attempt, m.broken)
	}
	for _, at := range p.signOuts {
		line(at, "de-REGISTER")
	}
	return b.String()
}
