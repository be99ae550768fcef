package alarm

import (
	"slices"
	"strings"
	"sync"
)

func compare(a, b Alarm) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return strings.Compare(a.Object, b.Object)
}

// queue holds the changes that one sink has not been told of yet.
type queue struct {
	mu    sync.Mutex
	max   int
	items []Alarm
	// signal has a token while there may be something to do.
	signal chan struct{}
}

func newQueue(size int) *queue {
	return &queue{max: size, signal: make(chan struct{}, 1)}
}

// push appends a change and reports whether another one was lost for it.
func (q *queue) push(a Alarm) (lost bool) {
	q.mu.Lock()
	if len(q.items) >= q.max {
		q.items = slices.Delete(q.items, q.victim(a), q.victim(a)+1)
		lost = true
	}
	q.items = append(q.items, a)
	q.mu.Unlock()
	q.wake()
	return lost
}

// victim chooses what a full queue loses: an earlier change of the same alarm,
// else the oldest raise, else the oldest change.
func (q *queue) victim(a Alarm) int {
	if i := slices.IndexFunc(q.items, func(b Alarm) bool { return compare(a, b) == 0 }); i >= 0 {
		return i
	}
	if i := slices.IndexFunc(q.items, func(b Alarm) bool { return b.ClearedAt == nil }); i >= 0 {
		return i
	}
	return 0
}

func (q *queue) pop() (Alarm, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return Alarm{}, false
	}
	a := q.items[0]
	q.items = slices.Delete(q.items, 0, 1)
	return a, true
}

func (q *queue) wake() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}
