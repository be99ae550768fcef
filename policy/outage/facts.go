package outage

import (
	"strings"
	"time"
)

// Facts are what is known of the path of a user: what [Paths.MayBlame] goes by, for
// people to read.
type Facts struct {
	// Hop is the next hop that the user is judged by; empty: the phones that are reached
	// directly, each behind a hop of its own.
	Hop string
	// Off: nobody asks for a proof of the path ([Limits].Off).
	Off bool
	// Others is when a request of somebody else got through last by that hop, Own when one
	// of the user did; Answered is when the hop answered OPTIONS last. Zero: never.
	Others, Own, Answered time.Time
}

// Facts tells what is known of the path of a user who is reached by a hop.
func (p *Paths) Facts(hop string, user uint64) Facts {
	h, own := p.find(hop), p.hops[hop]
	f := Facts{Hop: h.name, Off: p.rules.Off, Others: h.passed.besides(user), Own: h.passed.of(user)}
	if own != nil {
		f.Own, f.Answered = later(f.Own, own.passed.of(user)), own.answered
	}
	return f
}

// String is a sentence without its end, such as
// "by 192.0.2.1:5060 others got through at 2026-03-01T10:00:00.25Z".
func (f Facts) String() string {
	if f.Off {
		return "no proof of the path is asked for"
	}
	where := "by " + f.Hop
	if f.Hop == "" {
		where = "among the phones that are reached directly"
	}
	var known []string
	for _, fact := range []struct {
		what string
		at   time.Time
	}{{"others got through at ", f.Others}, {"a request to the user was answered at ", f.Own}, {"OPTIONS was answered at ", f.Answered}} {
		if !fact.at.IsZero() {
			known = append(known, fact.what+fact.at.UTC().Format(time.RFC3339Nano))
		}
	}
	if known == nil {
		return where + " nobody else is known to have failed"
	}
	return where + " " + strings.Join(known, ", ")
}
