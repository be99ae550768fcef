package proxy

import (
	"sync/atomic"
	"time"
)

// strangersPerSecond is how many datagrams of strangers are answered in a second: enough to
// find out what is wrong, too few to be of use against whoever's address they bear.
const strangersPerSecond = 10

// allowance is how much of something is left in this second.
type allowance struct{ second, taken atomic.Int64 }

// take takes one; false: there is none left.
func (a *allowance) take(now time.Time) bool {
	s := now.Unix()
	if a.second.Swap(s) != s {
		a.taken.Store(0)
	}
	return a.taken.Add(1) <= strangersPerSecond
}
