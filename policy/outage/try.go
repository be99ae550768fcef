package outage

import "time"

// Verdict says whom a failure speaks against.
type Verdict uint8

const (
	// Proven: the path is proven to work, so the failure is the user's.
	Proven Verdict = iota
	// Ask: no request to another user was tried. Send OPTIONS to the hop, give the outcome to
	// [Paths.Answered], then judge again.
	Ask
	// Wait: that is not known yet. Judge again when a [Notice] says that the hop has settled.
	Wait
	// Unproven: whether it is the fault of the user or of the path is not known, and will not
	// be soon. The failure is no strike. A MESSAGE may be sent, whose outcome tells more.
	Unproven
	// Outage: it is the fault of the path.
	Outage
)

// Try is a request to a user that failed: a NOTIFY, a MESSAGE or a de-REGISTER.
type Try struct {
	Hop  string // the next hop; empty if it is not known
	User uint64 // a hash of the user's address of record
	// Sent is when the request was sent, At when it had failed.
	Sent, At time.Time
	// Refused: there was a final response that says that the hop is there: any but 408 and 5xx.
	Refused bool
	// Unreachable: the hop takes nothing, and every other way was tried.
	Unreachable bool
	// Unsent: the request was never sent. It is judged like the others, but says nothing of
	// the path.
	Unsent bool
	// Core: by configuration the hop is one of the core's, so many users are behind it, even if
	// only one was seen.
	Core bool
	// Final: it was a MESSAGE or de-REGISTER of rewatch's own; no further request will show more.
	Final bool
}

// telling is how long a request has to be unanswered to count as silence. A failure at once says
// little of other users, because requests to many phones are sent in the same moment.
const telling = time.Second

// silent says whether the request met with silence.
func (t *Try) silent() bool { return !t.Refused && t.At.Sub(t.Sent) >= telling }

// mark is when something happened to a user.
type mark struct {
	user uint64
	at   time.Time
}

// pair is the latest of some marks, and the latest of another user than that one. So
// it tells for every user when something happened to somebody else last.
type pair struct{ last, other mark }

func (p *pair) add(m mark) {
	switch {
	case p.last.at.IsZero():
		p.last = m
	case m.user == p.last.user:
		p.last.at = later(p.last.at, m.at)
	case m.at.Before(p.last.at):
		if m.user == p.other.user || m.at.After(p.other.at) {
			p.other = mark{m.user, later(p.other.at, m.at)}
		}
	default:
		p.last, p.other = m, p.last
	}
}

// join adds the marks of another pair.
func (p *pair) join(o *pair) {
	for _, m := range []mark{o.other, o.last} {
		if !m.at.IsZero() {
			p.add(m)
		}
	}
}

// besides is when it happened last to anybody but this user; zero is never.
func (p *pair) besides(user uint64) time.Time {
	if p.last.user != user {
		return p.last.at
	}
	return p.other.at
}

// of is when it happened last to this user, as far as that is remembered; zero is never.
func (p *pair) of(user uint64) time.Time {
	switch user {
	case p.last.user:
		return p.last.at
	case p.other.user:
		return p.other.at
	}
	return time.Time{}
}

// several says whether it happened to more than one user.
func (p *pair) several() bool { return !p.other.at.IsZero() }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
