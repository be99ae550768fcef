// Package trace tells the Engine what passes, for the ladders of users whose recovery runs.
// The participants of a ladder are "core", "rewatch" and "server". What passes through is
// drawn as two arrows.
package trace

import (
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/monitor/outcome"
)

// Ladder draws the steps of a user's recovery.
type Ladder struct{ Recovery dialogs.Recovery }

// Step adds one arrow, or a note where from and to are the same.
func (l *Ladder) Step(aor string, at time.Time, from, to, what string) {
	l.Recovery.Trace(aor, dialogs.Step{At: at, From: from, To: to, What: what})
}

func (l *Ladder) passing(aor string, at time.Time, from, to, what string) {
	l.Step(aor, at, from, "rewatch", what)
	l.Step(aor, at, "rewatch", to, what)
}

// Subscribe shows a SUBSCRIBE on its way to the server, or only to us.
func (l *Ladder) Subscribe(aor string, at time.Time, to string, id *ident.ID) {
	if !l.Recovery.Interested(aor) {
		return
	}
	what := "SUBSCRIBE " + string(id.Package)
	l.Step(aor, at, "core", "rewatch", what)
	if to != "rewatch" {
		l.Step(aor, at, "rewatch", to, what)
	}
}

// Response shows a response that is passed on.
func (l *Ladder) Response(aor string, at time.Time, from, to string, status int, reason []byte) {
	l.passing(aor, at, from, to, outcome.StatusText(status, reason))
}

// Tries tells what was tried before a verdict, for the log.
func Tries(tries []dialogs.Try) (texts []string) {
	for _, t := range tries {
		texts = append(texts, t.String())
	}
	return texts
}

// Missed shows a NOTIFY that got no 2xx, and what came instead.
func (l *Ladder) Missed(n Notify, o *dialogs.Outcome, at time.Time, noAnswer string) {
	l.Passed(n, o)
	switch o.Kind {
	case dialogs.TimedOut:
		l.Step(n.Watcher, at, "rewatch", "rewatch", noAnswer)
	case dialogs.Unreachable:
		l.Step(n.Watcher, at, "rewatch", "rewatch", "next hop unreachable")
	case dialogs.Responded:
		l.Step(n.Watcher, at, "core", "rewatch", outcome.Cause(o))
	}
}

// Notify is a NOTIFY that has passed.
type Notify struct {
	Watcher, Event string
	At             time.Time
}

// Passed shows a NOTIFY, at the time when it passed, once its outcome is known: before that
// nobody may be interested.
func (l *Ladder) Passed(n Notify, o *dialogs.Outcome) {
	what := "NOTIFY " + n.Event
	l.passing(n.Watcher, n.At, "server", "core", what)
	for _, t := range o.Tries {
		l.Step(n.Watcher, t.At, "rewatch", "core", what+" again "+t.String())
	}
}
