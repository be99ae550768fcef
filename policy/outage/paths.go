package outage

import (
	"slices"
	"time"
)

// Paths keeps what is known of each next hop, and says whether a failure speaks
// against its user. It is not safe for concurrent use.
type Paths struct {
	rules Limits
	hops  map[string]*path
	// pool is the path of all hops behind which one user was seen at most: phones that
	// are reached directly. Nothing is asked of it, and it takes many to hold it.
	pool *path
	// held are the paths with a hold, in the order in which the holds began; doubted
	// those with a failure that waits for a verdict. Both are empty nearly always.
	held, doubted []*path
	swept         time.Time // when hops were forgotten last
	base          time.Time // from when the tenths of a window are counted
}

// NewPaths makes a Paths.
func NewPaths(l Limits) *Paths {
	return &Paths{rules: l.withDefaults(), hops: make(map[string]*path), pool: &path{}}
}

// Failed takes a request that failed, and judges it. That of a request which was sent
// before a hold ended is the outage's, and tells nothing of what came after, nor does one
// that was never sent.
func (p *Paths) Failed(t Try) (Verdict, []Notice) {
	own, h := p.route(t.Hop, t.User, t.At, t.Core)
	if !t.Unsent && !t.Sent.Before(h.ended) {
		p.count(h, &t)
		if own != h && own != nil {
			p.count(own, &t)
		}
	}
	return p.Judge(t.At, t)
}

// Judge judges a failure that was taken before: its verdict was [Ask] or [Wait].
func (p *Paths) Judge(at time.Time, t Try) (Verdict, []Notice) {
	h := p.find(t.Hop)
	if n, many := p.outvoted(h, at); many {
		return Outage, n
	}
	v, notices := p.judge(h, &t, at)
	if stumbled := !t.Refused && !h.ended.IsZero() && t.Sent.Before(h.ended.Add(stumbling)); stumbled && (v == Proven || v == Unproven) && !p.rules.Off {
		return Outage, notices
	}
	return v, notices
}

// stumbling is how long a core that has just come back may stumble: it has to work off its
// queues, and answers 408 or nothing to much of it. That is no user's fault.
const stumbling = 10 * time.Second

func (p *Paths) judge(h *path, t *Try, at time.Time) (Verdict, []Notice) {
	switch other := h.passed.besides(t.User); {
	case p.rules.Off:
		return Proven, nil
	case h.held() || t.Sent.Before(h.ended):
		return Outage, nil
	case !other.IsZero() && !other.Before(t.Sent):
		if t.Unreachable && h != p.pool {
			return Outage, nil // a hop of many that has started again, which is no user's fault
		}
		return Proven, nil
	case t.Unreachable && t.Core && h != p.pool:
		return Outage, []Notice{p.hold(h, at, ReasonUnreachable)}
	}
	if h.othersFailed(t.User, at) {
		return p.severalFailed(h, t, at)
	}
	return p.oneFailed(h, t, at)
}

// severalFailed judges where others were tried and none got through: it is the path.
// What fails at once is given the time that silence would have taken, unless the hop
// answers no OPTIONS.
func (p *Paths) severalFailed(h *path, t *Try, at time.Time) (Verdict, []Notice) {
	switch {
	case h == p.pool && h.silent.distinct() < p.rules.MinWatchers:
		return Unproven, nil
	case t.silent() || at.Sub(h.first) >= p.rules.Quiet:
		return Outage, []Notice{p.hold(h, at, ReasonSilence)}
	case h == p.pool:
		return Unproven, nil
	case h.unansweredSince(h.first):
		return Outage, []Notice{p.hold(h, at, ReasonNoAnswer)}
	case h.answered.Before(h.first):
		return p.ask(h, at), nil
	default:
		p.doubt(h)
		return Wait, nil
	}
}

// oneFailed judges where nobody else was tried.
func (p *Paths) oneFailed(h *path, t *Try, at time.Time) (Verdict, []Notice) {
	switch {
	case t.Refused:
		return Proven, nil
	case h == p.pool:
		return Unproven, nil
	case h.unansweredSince(t.Sent) && (h.ever || t.Final):
		return Outage, []Notice{p.hold(h, at, ReasonNoAnswer)}
	case h.unansweredSince(t.Sent): // a hop that may never answer OPTIONS
		return Unproven, nil
	case !h.answered.IsZero() && !h.answered.Before(t.Sent):
		return Proven, nil
	default:
		return p.ask(h, at), nil
	}
}

// ask has the hop asked, if it is not being asked.
func (p *Paths) ask(h *path, at time.Time) Verdict {
	p.doubt(h)
	if !h.asked.IsZero() {
		return Wait
	}
	h.asked = at
	return Ask
}

func (p *Paths) doubt(h *path) {
	if !h.doubt {
		h.doubt = true
		p.doubted = append(p.doubted, h)
	}
}

// settle says that what waits for a verdict on a path can be judged again.
func (p *Paths) settle(h *path, notices []Notice) []Notice {
	if !h.doubt {
		return notices
	}
	h.doubt = false
	p.doubted = slices.DeleteFunc(p.doubted, func(o *path) bool { return o == h })
	return append(notices, Notice{Kind: Settled, Record: Record{Hop: h.name}})
}

// Passed takes what got through over a hop.
func (p *Paths) Passed(at time.Time, hop string, got Passes) []Notice {
	if got.N == 0 {
		return nil
	}
	own, h := p.route(hop, got.who.last.user, at, got.who.several())
	for _, o := range p.held {
		o.elsewhere = o.elsewhere || o != h
	}
	h.pass(&got, p.epoch(at))
	if own != h && own != nil {
		own.pass(&got, p.epoch(at))
	}
	notices := p.settle(h, nil)
	if !h.held() || h.hold.Reason == ReasonRatio && p.share(h, at) {
		return notices
	}
	return append(notices, p.end(h, at, ReasonPassed))
}

// Answered takes the outcome of the OPTIONS that a hop was asked by, at the time that
// it was sent.
func (p *Paths) Answered(at time.Time, hop string, asked time.Time, ok bool) []Notice {
	h := p.hops[hop]
	if h == nil {
		return nil
	}
	h.asked = time.Time{}
	if ok {
		h.answered, h.ever = later(h.answered, at), true
		h.letSomeGo(at)
	} else {
		h.unanswered = later(h.unanswered, asked)
	}
	return p.settle(h, nil)
}

// End ends the hold of a hop because an operator says so.
func (p *Paths) End(at time.Time, hop string) []Notice {
	for _, h := range p.held {
		if h.name == hop {
			return []Notice{p.end(h, at, ReasonOperator)}
		}
	}
	return nil
}

// Restore holds a hop again that an earlier process held. false: it is held already, or
// there are too many hops.
func (p *Paths) Restore(record Record, at time.Time) bool {
	h := p.pool
	if record.Hop != "" {
		if h = p.hop(record.Hop, at); h == nil {
			return false
		}
		h.shared = true
	}
	if h.held() {
		return false
	}
	h.hold, h.pause = &record, fewPause
	p.held = append(p.held, h)
	h.nextProbe(&p.rules, at)
	return true
}

// hold begins a hold.
func (p *Paths) hold(h *path, at time.Time, why Reason) Notice {
	h.hold = &Record{
		Hop: h.name, Reason: why, At: at, Since: h.since(at),
		Watchers: max(h.silent.distinct(), 1),
	}
	h.elsewhere, h.few, h.fewAt, h.pause, h.probePause = false, 0, at, fewPause, 0
	h.nextProbe(&p.rules, at)
	p.held = append(p.held, h)
	p.settle(h, nil) // who waits hears of the hold
	return Notice{Kind: Began, Record: *h.hold}
}

// end ends a hold.
func (p *Paths) end(h *path, at time.Time, why Reason) Notice {
	n := Notice{Kind: Ended, Record: *h.hold, Why: why, At: at}
	h.hold, h.ended = nil, at
	h.forget()
	p.held = slices.DeleteFunc(p.held, func(o *path) bool { return o == h })
	return n
}

// find gives the path that a hop is judged by.
func (p *Paths) find(hop string) *path {
	if h := p.hops[hop]; h != nil && h.shared {
		return h
	}
	return p.pool
}

// route gives what is known of a hop by itself, nil if it is not known, and the path that
// it is judged by, after one more user was seen behind it.
func (p *Paths) route(hop string, user uint64, at time.Time, shared bool) (own, judged *path) {
	own = p.hop(hop, at)
	if own == nil {
		return nil, p.pool
	}
	own.seenAt = later(own.seenAt, at)
	if !own.shared {
		own.shared = shared || own.seen && own.only != user
		own.only, own.seen = user, true
	}
	if !own.shared {
		return own, p.pool
	}
	return own, own
}

// hop gives what is known of a hop, or nil if it has no name, or there are too many.
func (p *Paths) hop(name string, at time.Time) *path {
	h := p.hops[name]
	if h != nil || name == "" {
		return h
	}
	if len(p.hops) >= p.rules.MaxHops {
		p.sweep(at)
	}
	if len(p.hops) >= p.rules.MaxHops {
		return nil
	}
	h = &path{name: name}
	p.hops[name] = h
	return h
}

// sweep forgets the hops over which nothing went for a while, at most once a minute.
func (p *Paths) sweep(at time.Time) {
	if !p.swept.IsZero() && at.Sub(p.swept) < sweepEvery {
		return
	}
	p.swept = at
	for name, h := range p.hops {
		if !h.held() && !h.doubt && at.Sub(h.seenAt) > sweepAge {
			delete(p.hops, name)
		}
	}
}

const (
	sweepEvery = time.Minute
	sweepAge   = 10 * time.Minute
)
