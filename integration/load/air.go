package load

import (
	"bytes"
	"math/rand/v2"
	"time"
)

// air is the network between the ends of the generator and the target: it loses
// datagrams, delivers some twice, and lets others overtake some.
type air struct {
	rnd *rand.Rand
	// share of the datagrams that each of the three befalls, 0 to 1.
	share float64
	held  [2][]parcel // datagrams for the target that others overtake
}

// parcel is a datagram that is held back.
type parcel struct {
	due time.Duration
	raw []byte
}

// longestHold is by how much a datagram is late at most.
const longestHold = 20 * time.Millisecond

// copies is how many of a datagram arrive.
func (a *air) copies() int {
	switch p := a.rnd.Float64(); {
	case p < a.share:
		return 0
	case p < 2*a.share:
		return 2
	default:
		return 1
	}
}

// send puts a message on the way to the target, and tells whether any of it will arrive.
func (a *air) send(end int, l link, raw []byte, now time.Duration) bool {
	n := a.copies()
	for range n {
		if a.rnd.Float64() < a.share {
			due := now + time.Duration(a.rnd.Int64N(int64(longestHold)))
			a.held[end] = append(a.held[end], parcel{due, bytes.Clone(raw)})
			continue
		}
		l.request(append(l.begin(), raw...))
	}
	return n > 0
}

// release sends on what was held back until now.
func (a *air) release(end int, l link, now time.Duration) {
	kept := a.held[end][:0]
	for _, p := range a.held[end] {
		if p.due > now {
			kept = append(kept, p)
			continue
		}
		l.request(append(l.begin(), p.raw...))
	}
	a.held[end] = kept
}

// timerE has the transactions that wait to be sent again (RFC 3261 17.1.2.2). All in one
// stage wait equally long, so each stage is a queue.
type timerE struct{ stages [len(waits)]queue }

// waits are the times between one datagram of a request and the next, up to Timer F.
var waits = [...]time.Duration{
	Late, time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second, 4 * time.Second,
	4 * time.Second, 4 * time.Second, 4 * time.Second, 4 * time.Second, Late,
}

type waiting struct {
	seq uint64
	due time.Duration
}

type queue struct {
	list []waiting
	head int
}

func (t *timerE) add(stage int, seq uint64, now time.Duration) {
	q := &t.stages[stage]
	q.list = append(q.list, waiting{seq, now + waits[stage]})
}

// expired takes what is due now from a stage.
func (t *timerE) expired(stage int, now time.Duration) (seq uint64, ok bool) {
	q := &t.stages[stage]
	if q.head == len(q.list) || q.list[q.head].due > now {
		return 0, false
	}
	seq = q.list[q.head].seq
	if q.head++; q.head > len(q.list)/2 {
		q.list, q.head = append(q.list[:0], q.list[q.head:]...), 0
	}
	return seq, true
}
