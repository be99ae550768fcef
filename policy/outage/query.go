package outage

import "time"

// Any says whether anything is held.
func (d *Detector) Any() bool { return len(d.open) > 0 }

// Held says whether an outage goes on for those behind a hop: no strike, no
// MESSAGE, no de-REGISTER.
func (d *Detector) Held(hop string) bool {
	if len(d.open) == 0 {
		return false
	}
	if d.all.state != Closed {
		return true
	}
	h := d.hops[hop]
	return h != nil && h.state != Closed
}

// Excused says whether the failure of a NOTIFY that was sent then is the
// outage's: one goes on, or it was sent before the last one ended.
func (d *Detector) Excused(hop string, sent time.Time) bool {
	if d.Held(hop) {
		return true
	}
	if !sent.Before(d.latest) {
		return false
	}
	h := d.hops[hop]
	return sent.Before(d.all.released) || h != nil && sent.Before(h.released)
}

// Aftermath says whether a NOTIFY was sent so shortly after an outage that a
// failure which tells of the core, not of the phone, is still the outage's. It
// counts as a failure of the hop all the same.
func (d *Detector) Aftermath(hop string, sent time.Time) bool {
	until := sent.Add(-d.rules.Aftermath)
	if !until.Before(d.latest) {
		return false
	}
	h := d.hops[hop]
	return until.Before(d.all.released) || h != nil && until.Before(h.released)
}

// Suspect says whether what passes over a hop fails as in an outage that has just
// begun: nothing gets through, or most of the latest does not, of several
// watchers. It is a reason to wait with what cannot be undone.
func (d *Detector) Suspect(at time.Time, hop string) bool {
	h := d.hops[hop]
	return d.suspect(&d.all, at) || h != nil && d.suspect(h, at)
}

func (d *Detector) suspect(s *scope, at time.Time) bool {
	if at.Sub(s.failedAt) > d.rules.Window {
		return false
	}
	latest := s.window.latest(d.epoch(at), suspectTenths)
	return s.streak.several() ||
		over(latest.failed, latest.failed+latest.passed, d.rules.Ratio) && latest.watchers.distinct() >= several
}

// Hushed says whether half as many watchers as make an outage have failed over a hop,
// or over all, and nothing has got through since what they did not get was sent. If it
// is one, it is noticed in a moment. It is a reason to wait that long.
func (d *Detector) Hushed(at time.Time, hop string) bool {
	h := d.hops[hop]
	return d.all.silence.half(d.rules, at) || h != nil && h.silence.half(d.rules, at)
}

// suspectTenths is how much of the window a suspicion looks at.
const suspectTenths = 2

// Hold is one scope that is held, as the API and the log show it.
type Hold struct {
	Scope  string
	State  State
	Since  time.Time
	Failed int // with Total, what it was judged by
	Total  int
	// Relapses counts the releases that were wrong.
	Relapses int
}

// Holds lists the scopes that are held, in the order in which they began.
func (d *Detector) Holds() []Hold {
	var all []Hold
	for _, s := range d.open {
		all = append(all, Hold{
			Scope: s.name, State: s.state, Since: s.since,
			Failed: s.judgedFailed, Total: s.judgedOf, Relapses: s.relapses,
		})
	}
	return all
}
