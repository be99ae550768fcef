package monitor

import (
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/monitor/outcome"
)

// The participants of a ladder are "core", "rewatch" and "server". What passes
// through is drawn as two arrows.

// tracer tells the Engine what passes, for the ladders of those who recover.
type tracer struct{ rec dialogs.Recovery }

func (l *tracer) step(aor string, at time.Time, from, to, what string) {
	l.rec.Trace(aor, dialogs.Step{At: at, From: from, To: to, What: what})
}

func (l *tracer) passing(aor string, at time.Time, from, to, what string) {
	l.step(aor, at, from, "rewatch", what)
	l.step(aor, at, "rewatch", to, what)
}

// subscribe shows a SUBSCRIBE on its way to the server, or only to us.
func (l *tracer) subscribe(aor string, at time.Time, to string, id *ident.ID) {
	if !l.rec.Interested(aor) {
		return
	}
	what := "SUBSCRIBE " + string(id.Package)
	l.step(aor, at, "core", "rewatch", what)
	if to != "rewatch" {
		l.step(aor, at, "rewatch", to, what)
	}
}

// response shows a response that is passed on.
func (l *tracer) response(aor string, at time.Time, from, to string, status int, reason []byte) {
	l.passing(aor, at, from, to, outcome.StatusText(status, reason))
}

// tried tells what was tried before a verdict, for the log.
func tried(tries []dialogs.Try) (texts []string) {
	for _, t := range tries {
		texts = append(texts, t.String())
	}
	return texts
}

// missed shows a NOTIFY that got no 2xx, and what came instead.
func (l *tracer) missed(s *subscription, o *dialogs.Outcome, noAnswer string) {
	l.notify(s, o)
	at := instant(o.At)
	switch o.Kind {
	case dialogs.TimedOut:
		l.step(s.watcher(), at, "rewatch", "rewatch", noAnswer)
	case dialogs.Unreachable:
		l.step(s.watcher(), at, "rewatch", "rewatch", "next hop unreachable")
	case dialogs.Responded:
		l.step(s.watcher(), at, "core", "rewatch", outcome.Cause(o))
	}
}

// notify shows a NOTIFY, at the time when it passed, once its outcome is
// known: before that nobody may be interested.
func (l *tracer) notify(s *subscription, o *dialogs.Outcome) {
	at := instant(o.At)
	if s.notifyCSeq == o.CSeq && s.sent != 0 {
		at = time.Unix(0, s.sent)
	}
	what := "NOTIFY " + s.event()
	l.passing(s.watcher(), at, "server", "core", what)
	for _, t := range o.Tries {
		l.step(s.watcher(), t.At, "rewatch", "core", what+" again "+t.String())
	}
}
