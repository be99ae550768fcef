package outage

import "time"

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
