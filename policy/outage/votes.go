package outage

import (
	"math"
	"time"
)

// votes tell a large outage early, also one that some get through: too many users fail
// among those who are tried. Each user who fails has one vote, however often it fails,
// so a few phones that refuse everything do not outvote the others.
type votes struct {
	window
	// failedAt is the last failure, uneasy since when more fail than on other days.
	failedAt, uneasy time.Time
}

// uneasyShare is the part of Limits.Ratio above which more fail than on other days.
const uneasyShare = 0.2

// worry takes note of how many fail. An outage may begin slowly; those who failed
// before it was one are innocent as well.
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

// since is from when on more failed than on other days; zero if they do not.
func (v *votes) since(at time.Time) time.Time {
	if at.Sub(v.failedAt) > recent {
		return time.Time{}
	}
	return v.uneasy
}

// voters is how many users failed. When the bitmap is nearly full they are too many to
// be told apart, and a few that fail often do not matter.
func (b *bucket) voters() int {
	n := b.watchers.distinct()
	if n > watcherBits*7/8 {
		return max(n, b.failed)
	}
	return n
}

// share says whether too many fail of those who are tried.
func (p *Paths) share(h *path, at time.Time) bool {
	if p.rules.Ratio >= 1 {
		return false
	}
	sum := h.votes.sum(p.epoch(at))
	failed := sum.voters()
	return float64(failed) > p.rules.Ratio*float64(failed+sum.passed)
}

// outvoted holds a hop where too many fail, if they are enough to tell: a fifth of those
// who are known to be well behind it, at least MinWatchers, and a hundred at most.
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

// manyWatchers is how many watchers tell of an outage, however many there are.
const manyWatchers = 100

// epoch numbers the tenths of a window. They are told from the first time that was
// passed in, for differences of times do not mind a clock that is set; what is older has
// a negative number.
func (p *Paths) epoch(at time.Time) int64 {
	if p.base.IsZero() {
		p.base = at
	}
	return int64(at.Sub(p.base) / (p.rules.Window / buckets))
}

// crowd estimates how many users got through in the last hour or so.
type crowd struct {
	now, before bitmap
	turned      time.Time
}

const crowdTurn = 30 * time.Minute

func (c *crowd) add(users *bitmap, at time.Time) {
	c.turn(at)
	c.now.join(users)
}

func (c *crowd) turn(at time.Time) {
	switch age := at.Sub(c.turned); {
	case age >= 2*crowdTurn:
		*c = crowd{turned: at}
	case age >= crowdTurn:
		c.now, c.before, c.turned = bitmap{}, c.now, at
	}
}

// size is the number of users. Of many, some share a bit: n users set
// m(1-exp(-n/m)) of m bits.
func (c *crowd) size(at time.Time) int {
	c.turn(at)
	both := c.now
	both.join(&c.before)
	free := float64(max(watcherBits-both.distinct(), 1))
	return int(watcherBits * math.Log(watcherBits/free))
}
