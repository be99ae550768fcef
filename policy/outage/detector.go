package outage

import (
	"maps"
	"slices"
	"time"
)

// Detector judges the outcomes of NOTIFYs, hop by hop and overall. It is not safe
// for concurrent use.
type Detector struct {
	rules Rules
	hops  map[string]*scope
	all   scope
	// open are the scopes that are not closed. It is empty nearly always, which
	// makes the questions of every NOTIFY cheap.
	open []*scope
	// latest is the latest release, before which alone something is excused.
	latest time.Time
	// again is when failures that are many, but few among what passed, have to be
	// judged again: what passed leaves the window before them. Zero: never.
	again time.Time
	swept int64     // the epoch in which hops were last forgotten
	base  time.Time // of the epochs
}

// New makes a Detector.
func New(r Rules) *Detector {
	return &Detector{rules: r.withDefaults(), hops: make(map[string]*scope)}
}

// Rules are the rules with the defaults filled in.
func (d *Detector) Rules() Rules { return d.rules }

// Observe takes the outcome of one NOTIFY.
func (d *Detector) Observe(o Outcome) []Change {
	if o.OK {
		return d.Passed(o.At, o.Hop, 1)
	}
	changes := d.settle(o.At)
	h := d.hop(o.Hop, o.At)
	for _, s := range d.open {
		if s == h || s == &d.all {
			s.failed(o)
		}
	}
	if d.Excused(o.Hop, o.Sent) {
		return changes
	}
	return append(changes, d.judge(h, o)...)
}

// Passed takes n NOTIFYs that got through over a hop.
func (d *Detector) Passed(at time.Time, hop string, n int) []Change {
	changes := d.settle(at)
	h := d.hop(hop, at)
	held := false
	for _, s := range d.open {
		if s != h && s != &d.all {
			continue
		}
		held = true
		if c, ok := s.passed(d.rules, at, n); ok {
			changes = append(changes, c)
		}
	}
	if !held {
		now := d.epoch(at)
		d.all.pass(at, now, n)
		if h != nil {
			h.pass(at, now, n)
		}
	}
	return changes
}

// judge counts a failure that nothing excuses, and holds the hop, or else all of
// them, if there are too many.
func (d *Detector) judge(h *scope, o Outcome) []Change {
	var why Reason
	if h != nil {
		why = d.fail(h, o)
	}
	if overall := d.fail(&d.all, o); why == "" {
		h, why = &d.all, overall
	}
	if why == "" {
		return nil
	}
	return []Change{d.hold(h, o.At, why)}
}

// fail counts a failure in a scope, and says why it is too many, if it is.
func (d *Detector) fail(s *scope, o Outcome) Reason {
	now := d.epoch(o.At)
	s.failing = o.Hop
	s.window.fail(now, o)
	s.streak.add(o.Watcher)
	s.silence.add(o, d.rules.Window)
	all := s.window.sum(now)
	s.worry(d.rules, o.At, &all)
	switch {
	case d.broken(&all, o.At):
		return ReasonRatio
	case d.rules.Ratio < 1 && s.silence.total(d.rules):
		return ReasonSilence
	default:
		return ""
	}
}

// broken says whether too many have failed. If they are many, but not too many yet,
// they are looked at again.
func (d *Detector) broken(all *bucket, at time.Time) bool {
	if all.failed < d.rules.MinFailures || all.watchers.distinct() < d.rules.MinWatchers {
		return false
	}
	if over(all.failed, all.failed+all.passed, d.rules.Ratio) {
		return true
	}
	if d.again.IsZero() {
		d.again = at.Add(d.rules.Window / buckets)
	}
	return false
}

// judgeAgain judges what was counted before.
func (d *Detector) judgeAgain(at time.Time) []Change {
	if d.again.IsZero() || at.Before(d.again) {
		return nil
	}
	d.again = time.Time{}
	var changes []Change
	now := d.epoch(at)
	for _, name := range slices.Sorted(maps.Keys(d.hops)) {
		h := d.hops[name]
		if sum := h.window.sum(now); h.state == Closed && d.broken(&sum, at) {
			changes = append(changes, d.hold(h, at, ReasonRatio))
		}
	}
	if sum := d.all.window.sum(now); d.all.state == Closed && d.broken(&sum, at) {
		changes = append(changes, d.hold(&d.all, at, ReasonRatio))
	}
	return changes
}

func (d *Detector) hold(s *scope, at time.Time, why Reason) Change {
	counted := s.window.sum(d.epoch(at))
	if why == ReasonSilence { // what passed is of an earlier time
		counted.failed, counted.passed = s.silence.failed, 0
	}
	c := s.hold(d.rules, at, counted, why)
	d.open = append(d.open, s)
	if s != &d.all && d.all.state == Closed {
		d.recount()
	}
	return c
}

// recount makes Overall forget the outcomes of hops that are held by themselves.
func (d *Detector) recount() {
	d.all.window, d.all.streak = window{}, streak{}
	d.all.silence.forget()
	for _, h := range d.hops {
		if h.state == Closed {
			d.all.window.merge(&h.window)
		}
	}
}

// Restore holds a scope again that an earlier process held, as the Change says by
// which it began. It is probed anew. false: there are too many hops.
func (d *Detector) Restore(c Change, at time.Time) bool {
	s := &d.all
	if c.Scope != Overall {
		s = d.hop(c.Scope, at)
	}
	if s == nil || s.state != Closed {
		return false
	}
	s.failing, s.since, s.relapses = c.Hop, c.Since, c.Relapses
	s.judgedFailed, s.judgedOf = c.Failed, c.Total
	s.state = Held
	s.nextProbe(d.rules, at)
	d.open = append(d.open, s)
	return true
}

// Unreachable takes the news that a hop cannot be reached at all: a transport
// error, after every other way was tried. It is held at once.
func (d *Detector) Unreachable(at time.Time, hop string) []Change {
	changes := d.settle(at)
	if h := d.hop(hop, at); h != nil && h.state == Closed {
		h.failing = hop
		changes = append(changes, d.hold(h, at, ReasonUnreachable))
	}
	return changes
}

// Probed takes the outcome of a probe, or any other sign of life of the hop.
func (d *Detector) Probed(at time.Time, name string, ok bool) []Change {
	changes := d.settle(at)
	if !ok {
		return changes // the next one is scheduled already
	}
	for _, s := range d.open {
		if s.name == name {
			if c, began := s.alive(d.rules, at, ReasonProbe); began {
				changes = append(changes, c)
			}
		}
	}
	return changes
}

// Next is when Tick has to be called; the zero time is never.
func (d *Detector) Next() time.Time {
	next := d.again
	for _, s := range d.open {
		if at := s.due(); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// Tick returns the probes that are due, ends the trials whose time is over, and
// judges again what has to be.
func (d *Detector) Tick(at time.Time) ([]Probe, []Change) {
	changes := append(d.settle(at), d.judgeAgain(at)...)
	var probes []Probe
	for _, s := range d.open {
		if s.state != Held || at.Before(s.probeAt) {
			continue
		}
		s.probes++
		s.nextProbe(d.rules, at)
		probes = append(probes, Probe{Scope: s.name, Hop: s.probed()})
	}
	return probes, changes
}

// settle ends the trials whose time is over.
func (d *Detector) settle(at time.Time) []Change {
	var changes []Change
	for _, s := range d.open {
		if c, ok := s.settle(d.rules, at); ok {
			changes = append(changes, c)
			if c.To == Closed {
				d.release(s, at)
			}
		}
	}
	if changes != nil {
		d.open = slices.DeleteFunc(d.open, func(s *scope) bool { return s.state == Closed })
	}
	return changes
}

// release forgets what was counted during the outage. A hop that is really down
// though the others are back shows by new failures.
func (d *Detector) release(s *scope, at time.Time) {
	d.latest = at
	if s != &d.all {
		return
	}
	for _, h := range d.hops {
		if h.state == Closed {
			h.forget()
		}
	}
}

// hop returns the scope of a hop, or nil if there are too many to judge each.
func (d *Detector) hop(name string, at time.Time) *scope {
	if h := d.hops[name]; h != nil || name == Overall {
		return h
	}
	if len(d.hops) >= d.rules.MaxHops {
		d.sweep(at)
	}
	if len(d.hops) >= d.rules.MaxHops {
		return nil
	}
	h := &scope{name: name}
	d.hops[name] = h
	return h
}

// sweep forgets the hops over which nothing passed in the window, at most once
// in each tenth of it.
func (d *Detector) sweep(at time.Time) {
	now := d.epoch(at)
	if now == d.swept {
		return
	}
	d.swept = now
	for name, h := range d.hops {
		recent := !h.released.IsZero() && at.Sub(h.released) < d.rules.Relapse
		if h.state == Closed && h.window.empty(now) && !recent {
			delete(d.hops, name)
		}
	}
}

// epoch numbers the tenths of a window, from 1 on. They are told from the first
// time that was passed in, for differences of times do not mind a clock that is
// set.
func (d *Detector) epoch(at time.Time) int64 {
	if d.base.IsZero() {
		d.base = at.Add(-2 * d.rules.Window)
	}
	return max(1, int64(at.Sub(d.base)/max(d.rules.Window/buckets, 1)))
}
