package proxy

import "time"

// moment is a point in time as nanoseconds since the Server was made, by the
// monotonic clock: a third of the size of a time.Time, and a wall clock that is
// set back or forth moves no deadline. Zero means never.
type moment int64

func (m moment) add(d time.Duration) moment { return m + moment(d) }

// until is the time from here to then.
func (m moment) until(then moment) time.Duration { return time.Duration(then - m) }

// sooner gives the earlier of two moments, where zero is never.
func sooner(a, b moment) moment {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// moment gives t by the Server's clock. It is never zero.
func (s *Server) moment(t time.Time) moment { return moment(t.Sub(s.born)) + 1 }
