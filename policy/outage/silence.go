package outage

import "time"

// silence counts the failures of NOTIFYs since whose sending nothing at all has got
// through over a scope. That is an outage whatever passed before it: the ratio of a
// window tells of one only when what passed has left it, which is too late if a
// NOTIFY is given less time than the window is long.
type silence struct {
	passed time.Time // when anything got through last
	began  time.Time // the first failure that is counted
	failed int
	who    bitmap
}

// telling is how long a NOTIFY has to have been under way for its failure to tell of
// silence. What is refused at once says nothing of the others: many phones are sent
// something in the same moment.
const telling = time.Second

// pass takes what got through: there is no silence.
func (s *silence) pass(at time.Time) { *s = silence{passed: at} }

// forget starts to count anew.
func (s *silence) forget() { *s = silence{passed: s.passed} }

// add counts a failure, if nothing got through since it was sent. One that is long
// ago does not add up with those of now.
func (s *silence) add(o Outcome, window time.Duration) {
	if !o.Sent.After(s.passed) || o.At.Sub(o.Sent) < telling {
		return
	}
	if o.At.Sub(s.began) > window {
		s.forget()
		s.began = o.At
	}
	s.failed++
	s.who.add(o.Watcher)
}

// half says whether half as many watchers as it takes fell silent lately.
func (s *silence) half(r Rules, at time.Time) bool {
	return 2*s.who.distinct() >= r.MinWatchers && at.Sub(s.began) <= r.Window
}

// total says whether there are enough of them, of enough watchers.
func (s *silence) total(r Rules) bool {
	return s.failed >= r.MinFailures && s.who.distinct() >= r.MinWatchers
}
