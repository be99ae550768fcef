// Package trace adds what passes to the ladder diagrams of users whose recovery runs. The
// participants of a ladder are "core", "rewatch" and "server". A message that is forwarded
// is two arrows.
package trace

import (
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/monitor/outcome"
)

// Ladder adds steps to the ladder of a user.
type Ladder struct{ Recovery dialogs.Recovery }

// Step adds one arrow, or a note where from and to are the same.
func (l *Ladder) Step(aor string, at time.Time, from, to, what string) {
	l.Recovery.Trace(aor, dialogs.Step{At: at, From: from, To: to, What: what})
}

func (l *Ladder) passing(aor string, at time.Time, from, to, what string) {
	l.Step(aor, at, from, "rewatch", what)
	l.Step(aor, at, "rewatch", to, what)
}

// Subscribe shows a SUBSCRIBE to the server, or one that rewatch answers (to is "rewatch").
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

// Response shows a response that is relayed.
func (l *Ladder) Response(aor string, at time.Time, from, to string, status int, reason []byte) {
	l.passing(aor, at, from, to, outcome.StatusText(status, reason))
}

// Tries describes the attempts before a verdict, for the log.
func Tries(tries []dialogs.Try) (texts []string) {
	for _, t := range tries {
		texts = append(texts, t.String())
	}
	return texts
}

// Missed shows a NOTIFY that got no 2xx, and its outcome. noAnswer is the text of a timeout.
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

// Passed shows a NOTIFY with its further attempts. It is called when the outcome is known, for
// only then is it known whether a recovery runs.
func (l *Ladder) Passed(n Notify, o *dialogs.Outcome) {
	what := "NOTIFY " + n.Event
	l.passing(n.Watcher, n.At, "server", "core", what)
	for _, t := range o.Tries {
		l.Step(n.Watcher, t.At, "rewatch", "core", what+" again "+t.String())
	}
}
