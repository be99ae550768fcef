package outage

import (
	"slices"
	"time"
)

// Next is when Tick has to be called; zero is never.
func (p *Paths) Next() time.Time {
	var next time.Time
	first := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for _, h := range p.held {
		first(h.probeAt)
	}
	for _, h := range p.doubted {
		first(h.due(&p.rules))
	}
	return next
}

// due is when what waits for a verdict has to be judged again, whatever happens.
func (h *path) due(l *Limits) time.Time {
	if !h.asked.IsZero() {
		return h.asked.Add(l.AskTimeout)
	}
	return h.first.Add(l.Quiet)
}

// Tick gives the hops that have to be asked by OPTIONS, and what has changed by the
// passing of time. waits says whether anybody waits for the end of the hold of a hop; it
// is asked if [Paths.Deserted] says so.
func (p *Paths) Tick(at time.Time, waits func(hop string) bool) (ask []string, notices []Notice) {
	for _, h := range slices.Clone(p.doubted) {
		switch {
		case at.Before(h.due(&p.rules)):
		case !h.asked.IsZero():
			notices = append(notices, p.Answered(at, h.name, h.asked, false)...)
		default:
			notices = p.settle(h, notices)
		}
	}
	for _, h := range slices.Clone(p.held) {
		if at.Before(h.probeAt) {
			continue
		}
		h.nextProbe(&p.rules, at)
		if p.deserted(h, at) {
			if !waits(h.name) {
				notices = append(notices, p.end(h, at, ReasonGone))
				continue
			}
			if h.elsewhere && !at.Before(h.fewAt) {
				h.few, h.fewAt = 1, at.Add(loneEvery)
			}
		}
		if h != p.pool {
			ask = append(ask, h.name)
		}
	}
	return ask, notices
}

// loneEvery is how often one may go ahead over a hop that seems to be gone.
const loneEvery = 30 * time.Second

// deserted says whether nothing goes over a hop any more, and nothing comes from it.
func (p *Paths) deserted(h *path, at time.Time) bool {
	last := later(h.hold.At, later(h.tried, h.passed.last.at))
	return at.Sub(last) >= p.rules.Gone
}

// Deserted says whether a hop that is held may be gone for good.
func (p *Paths) Deserted(at time.Time) bool {
	return slices.ContainsFunc(p.held, func(h *path) bool { return p.deserted(h, at) })
}
