package outage

import (
	"math"
	"time"
)

// votes find a large outage early, even if some NOTIFYs still get through: of the users to whom
// NOTIFYs are sent, too many fail. Each user who fails has one vote, however often it fails. So a
// few phones that refuse everything do not outvote the others.
type votes struct {
	window
	// failedAt is the time of the last failure.
	failedAt time.Time
	// uneasy is since when more users fail than usual; zero if no more than usual fail.
	uneasy time.Time
}

// uneasyShare: more users fail than usual when their share is above uneasyShare times Limits.Ratio.
const uneasyShare = 0.2

// worry updates uneasy after a failure. An outage may begin slowly, and the users who failed before
// it was noticed are innocent as well.
func (v *votes) worry(l *Limits, epoch int64, t *Try) {
	sum := v.sum(epoch)
	switch failed := sum.voters(); {
	case 2*failed < l.MinWatchers || float64(failed) <= l.Ratio*uneasyShare*float64(failed+sum.passed):
		v.uneasy = time.Time{}
	case v.uneasy.IsZero() || t.At.Sub(v.failedAt) > l.Window:
		v.uneasy = earlier(time.Unix(0, sum.sent), t.At.Add(-l.Window))
	}
	v.failedAt = t.At
}

// since is since when more users fail than usual; zero if no more than usual fail, or if nobody
// has failed of late.
func (v *votes) since(at time.Time) time.Time {
	if at.Sub(v.failedAt) > recent {
		return time.Time{}
	}
	return v.uneasy
}

// voters is how many users failed. If the bitmap is nearly full, it cannot tell the users apart any
// more. Then the failures are counted: among so many users, a few that fail often do not matter.
func (b *bucket) voters() int {
	n := b.watchers.distinct()
	if n > watcherBits*7/8 {
		return max(n, b.failed)
	}
	return n
}

// share says whether the users who failed within the window are more than Limits.Ratio of these
// users and the NOTIFYs that got through, counted together.
func (p *Paths) share(h *path, at time.Time) bool {
	if p.rules.Ratio >= 1 {
		return false
	}
	sum := h.votes.sum(p.epoch(at))
	failed := sum.voters()
	return float64(failed) > p.rules.Ratio*float64(failed+sum.passed)
}

// outvoted holds a hop at which too many users fail, if there are enough of them to be sure: a fifth
// of the users who got through by this hop in the last hour, but at least MinWatchers, and no more
// than manyWatchers are asked for.
func (p *Paths) outvoted(h *path, at time.Time) ([]Notice, bool) {
	if h.held() || p.rules.Off || !p.share(h, at) {
		return nil, false
	}
	sum := h.votes.sum(p.epoch(at))
	enough := max(p.rules.MinWatchers, min(h.crowd.size(at)/5, manyWatchers))
	if sum.watchers.distinct() < enough {
		return nil, false
	}
	return []Notice{p.hold(h, at, ReasonRatio)}, true
}

// manyWatchers is how many users who fail are always enough to tell an outage.
const manyWatchers = 100

// epoch gives the number of the tenth of a window in which a time lies. The numbers count from the
// first time that epoch was called with; an earlier time has a negative number. A difference of
// two times is right even if the clock was set between them.
func (p *Paths) epoch(at time.Time) int64 {
	if p.base.IsZero() {
		p.base = at
	}
	return int64(at.Sub(p.base) / (p.rules.Window / buckets))
}

// crowd estimates how many users got through in the last 30 to 60 minutes.
type crowd struct {
	now, before bitmap    // of this crowdTurn and of the one before
	turned      time.Time // when now began
}

const crowdTurn = 30 * time.Minute

// add counts users that got through.
func (c *crowd) add(users *bitmap, at time.Time) {
	c.turn(at)
	c.now.join(users)
}

// turn begins a new bitmap when the present one is crowdTurn old.
func (c *crowd) turn(at time.Time) {
	switch age := at.Sub(c.turned); {
	case age >= 2*crowdTurn:
		*c = crowd{turned: at}
	case age >= crowdTurn:
		c.now, c.before, c.turned = bitmap{}, c.now, at
	}
}

// size estimates the number of users. If they are many, some share a bit: n users set about
// m(1-exp(-n/m)) of m bits. size solves this for n.
func (c *crowd) size(at time.Time) int {
	c.turn(at)
	both := c.now
	both.join(&c.before)
	free := float64(max(watcherBits-both.distinct(), 1))
	return int(watcherBits * math.Log(watcherBits/free))
}
