package transaction

import "time"

// Moment is a point in time as nanoseconds since its clock began, by the monotonic clock: a
// third of the size of a time.Time, and setting the wall clock moves no deadline. Zero means
// never.
type Moment int64

// Add gives the moment that is d later.
func (m Moment) Add(d time.Duration) Moment { return m + Moment(d) }

// Until is the time from here to then.
func (m Moment) Until(then Moment) time.Duration { return time.Duration(then - m) }

// Ticks counts the ticks of the wheel up to here.
func (m Moment) Ticks() int64 { return int64(m) / int64(Tick) }

// sooner gives the earlier of two moments, where zero is never.
func sooner(a, b Moment) Moment {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

const (
	// Tick is the resolution of deadlines; SIP's shortest timer is 500 ms.
	Tick = 50 * time.Millisecond
	// slots spans 205 s; a later deadline is checked again each time its slot comes.
	slots = 4096
)

// wheel holds the entries of one shard by their next deadline: one list per
// tick. Setting and clearing a deadline is O(1) and allocates nothing.
type wheel struct {
	slot [slots]*entry
	at   int64 // the last tick that was checked
}

// set gives r a deadline.
func (w *wheel) set(r *entry, deadline Moment) {
	w.clear(r)
	r.deadline = deadline
	n := max(deadline.Ticks()+1, w.at+1) // never early
	n = min(n, w.at+slots-1)
	i := int(n % slots)
	r.slot = int32(i + 1) //nolint:gosec // below slots
	r.next = w.slot[i]
	r.prev = nil
	if r.next != nil {
		r.next.prev = r
	}
	w.slot[i] = r
}

// clear takes r off the wheel.
func (w *wheel) clear(r *entry) {
	if r.slot == 0 {
		return
	}
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		w.slot[r.slot-1] = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.next, r.prev, r.slot = nil, nil, 0
}

// expired appends to due the entries whose deadline has passed, and takes them
// off the wheel. After a pause of more than one turn every slot is checked once.
func (w *wheel) expired(now Moment, due []*entry) []*entry {
	to := now.Ticks()
	if to-w.at > slots {
		w.at = to - slots
	}
	for ; w.at < to; w.at++ {
		i := int((w.at + 1) % slots)
		for r := w.slot[i]; r != nil; {
			next := r.next
			w.clear(r)
			if r.deadline > now {
				w.set(r, r.deadline) // its deadline is in a later turn; it does not land in this slot
			} else {
				due = append(due, r)
			}
			r = next
		}
	}
	return due
}
