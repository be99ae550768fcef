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

// change is the raise or the clear of an alarm. untold counts the sinks that were not yet told of
// it; nil: nobody counts.
type change struct {
	Alarm
	untold *atomic.Int32
}

// queue holds the changes that one sink has not been told of yet.
type queue struct {
	mu    sync.Mutex
	max   int
	items []change
	// signal has a token while the queue may have changes.
	signal chan struct{}
}

func newQueue(size int) *queue {
	return &queue{max: size, signal: make(chan struct{}, 1)}
}

// push appends a change. If the queue is full, it drops another change (see victim) and returns
// that one; otherwise ok is false.
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

// victim chooses the change that a full queue drops: an earlier one of the same alarm, else the
// oldest raise, else the oldest change.
func (q *queue) victim(a Alarm) int {
	if i := slices.IndexFunc(q.items, func(b change) bool { return compare(a, b.Alarm) == 0 }); i >= 0 {
		return i
	}
	if i := slices.IndexFunc(q.items, func(b change) bool { return b.ClearedAt == nil }); i >= 0 {
		return i
	}
	return 0
}

// pop takes the oldest change; false: the queue is empty.
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
