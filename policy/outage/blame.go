package outage

import "time"

// proofAge is how old a proof of the path may be when a user is to be blamed for what it
// has not done. It is short: a NOTIFY that was sent just before an outage began fails half a
// minute later, and then somebody may have got through since it was sent, though nobody
// does any more.
const proofAge = 5 * time.Second

// MayBlame says whether a user whose time is over may be sent a further MESSAGE that
// counts, or be given up. The path has to work now: anybody has just got through, the user
// too, or the hop answers OPTIONS where nobody else was tried. For a hop that has never answered OPTIONS it will
// do if anybody got through since the user was told. core is as in [Try]. Where the
// verdict is Wait or Ask the user is looked at again in a moment.
func (p *Paths) MayBlame(at time.Time, hop string, user uint64, told time.Time, core bool) (Verdict, []Notice) {
	own := p.hop(hop, at)
	if own != nil {
		own.shared = own.shared || core
		own.seenAt = later(own.seenAt, at)
	}
	h := p.find(hop)
	from := later(at.Add(-proofAge), h.ended)
	switch {
	case p.rules.Off:
		return Proven, nil
	case h.held():
		return Outage, nil
	case !h.passed.last.at.Before(from):
		return Proven, nil
	case own == nil && h.failed.last.at.IsZero():
		return Proven, nil // no failure is known that the path could be to blame for
	case own == nil || h.othersFailed(user, at):
		return Wait, nil
	case !own.passed.last.at.Before(from):
		return Proven, nil
	case own.unansweredSince(from) && !own.ever && !told.IsZero() && !own.passed.last.at.Before(told):
		return Proven, nil
	case own.unansweredSince(from) && own.shared:
		return Outage, []Notice{p.hold(own, at, ReasonNoAnswer)}
	case own.unansweredSince(from):
		return Wait, nil
	case !own.answered.Before(from):
		return Proven, nil
	default:
		return p.ask(own, at), nil
	}
}
