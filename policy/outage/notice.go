package outage

import "time"

// Reason says why a path is held, and why a hold ends.
type Reason string

// The reasons, as they appear in the log and the alarm.
const (
	ReasonSilence     Reason = "silence"     // others were tried as well, and nobody gets through
	ReasonRatio       Reason = "ratio"       // too few get through
	ReasonUnreachable Reason = "unreachable" // the hop takes nothing
	ReasonNoAnswer    Reason = "no-answer"   // nobody else was tried, and OPTIONS is not answered
	ReasonPassed      Reason = "passed"      // ended: the hop carries traffic
	ReasonOperator    Reason = "operator"    // ended by hand
	ReasonGone        Reason = "gone"        // ended: nothing goes there any more
)

// Record is a hold, as it is shown and kept.
type Record struct {
	Hop    string    `json:"hop"` // empty: all phones that are reached without a hop that others share
	Reason Reason    `json:"reason"`
	At     time.Time `json:"at"` // when it began
	// Since is from when on failures are the outage's: strikes that were counted later
	// have to be given back.
	Since time.Time `json:"since"`
	// Watchers is how many failed since anything got through, when it began.
	Watchers int `json:"watchers"`
}

// NoticeKind is what a Notice says.
type NoticeKind uint8

const (
	// Began: a hold began. Raise the alarm, give back the strikes since Record.Since, drop
	// the sign-outs that are pending, keep everything back.
	Began NoticeKind = iota
	// Ended: a hold ended, and why. Clear the alarm, work off who waits.
	Ended
	// Settled: what waits for a verdict over the hop can be judged again.
	Settled
)

// Notice says what has changed.
type Notice struct {
	Kind NoticeKind
	Record
	Why Reason    // of Ended
	At  time.Time // of Ended: when
}

// Passes add up requests that got through over one hop: NOTIFYs and MESSAGEs that were answered
// 2xx, and requests that came from users. The zero value has none.
type Passes struct {
	N     int
	who   pair
	users bitmap
}

// Add counts one request of a user, by the hash of the user. It allocates nothing.
func (s *Passes) Add(at time.Time, user uint64) {
	s.N++
	s.who.add(mark{user, at})
	s.users.add(user)
}

// Join adds the requests of o.
func (s *Passes) Join(o *Passes) {
	s.N += o.N
	s.who.join(&o.who)
	s.users.join(&o.users)
}

// Any says whether any hop is held.
func (p *Paths) Any() bool { return len(p.held) > 0 }

// Held says whether a hop is held.
func (p *Paths) Held(hop string) bool {
	return p.find(hop).held()
}

// JudgedBy is the hop in the record by which a hop is held: its own name, or empty if not more
// than one user was seen behind it.
func (p *Paths) JudgedBy(hop string) string { return p.find(hop).name }

// Knows says whether anything is known of a hop.
func (p *Paths) Knows(hop string) bool { return p.hops[hop] != nil }

// Holds lists the holds, in the order in which they began.
func (p *Paths) Holds() []Record {
	var all []Record
	for _, h := range p.held {
		all = append(all, *h.hold)
	}
	return all
}

// GoAhead says whether a MESSAGE may be sent over a hop: always if the hop is not held, and a few
// times if a held hop has answered OPTIONS, or seems to be gone for good.
func (p *Paths) GoAhead(hop string) bool {
	h := p.find(hop)
	if !h.held() {
		return true
	}
	if h.few == 0 {
		return false
	}
	h.few--
	return true
}
