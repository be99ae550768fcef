package alarm

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

func compare(a, b Alarm) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Object, b.Object))
}

// change is a raise or a clear. untold counts the sinks that were not told of it yet; nil: it is
// not counted.
type change struct {
	Alarm
	untold *atomic.Int32
}

// queue holds the changes that one sink has not been told of yet.
type queue struct {
	mu    sync.Mutex
	max   int
	items []change
	// signal has a token while there may be something to do.
	signal chan struct{}
}

func newQueue(size int) *queue {
	return &queue{max: size, signal: make(chan struct{}, 1)}
}

// push appends a change, and returns the one that a full queue loses for it; false: none.
func (q *queue) push(c change) (lost change, ok bool) {
	q.mu.Lock()
	if len(q.items) >= q.max {
		i := q.victim(c.Alarm)
		lost, ok = q.items[i], true
		q.items = slices.Delete(q.items, i, i+1)
	}
	q.items = append(q.items, c)
	q.mu.Unlock()
	select {
	case q.signal <- struct{}{}:
	default:
	}
	return lost, ok
}

// victim chooses what a full queue loses: an earlier change of the same alarm,
// else the oldest raise, else the oldest change.
func (q *queue) victim(a Alarm) int {
	if i := slices.IndexFunc(q.items, func(b change) bool { return compare(a, b.Alarm) == 0 }); i >= 0 {
		return i
	}
	if i := slices.IndexFunc(q.items, func(b change) bool { return b.ClearedAt == nil }); i >= 0 {
		return i
	}
	return 0
}

func (q *queue) pop() (change, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return change{}, false
	}
	c := q.items[0]
	q.items = slices.Delete(q.items, 0, 1)
	return c, true
}
