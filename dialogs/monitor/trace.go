package monitor

import (
	"time"

	"rewatch/dialogs"
)

// The participants of a ladder are "core", "rewatch" and "server". What passes
// through is drawn as two arrows.

func (m *Monitor) trace(aor string, at time.Time, from, to, what string) {
	m.rec.Trace(aor, dialogs.Step{At: at, From: from, To: to, What: what})
}

func (m *Monitor) tracePassing(aor string, at time.Time, from, to, what string) {
	m.trace(aor, at, from, "rewatch", what)
	m.trace(aor, at, "rewatch", to, what)
}

// traceSubscribe shows a SUBSCRIBE on its way to the server, or only to us.
func (m *Monitor) traceSubscribe(aor string, at time.Time, to string, id *ID) {
	if !m.rec.Interested(aor) {
		return
	}
	what := "SUBSCRIBE " + string(id.Package)
	m.trace(aor, at, "core", "rewatch", what)
	if to != "rewatch" {
		m.trace(aor, at, "rewatch", to, what)
	}
}

// traceResponse shows a response that is passed on.
func (m *Monitor) traceResponse(aor string, at time.Time, from, to string, status int, reason []byte) {
	m.tracePassing(aor, at, from, to, statusText(status, reason))
}

// traceNotify shows a NOTIFY, at the time when it passed, once its outcome is
// known: before that nobody may be interested.
func (m *Monitor) traceNotify(s *subscription, o *dialogs.Outcome) {
	at := instant(o.At)
	if s.notifyCSeq == o.CSeq && s.sent != 0 {
		at = time.Unix(0, s.sent)
	}
	m.tracePassing(s.watcher(), at, "server", "core", "NOTIFY "+s.event())
}
