package resolve

import (
	"slices"
	"time"
)

const (
	// maxQueued bounds the names that wait for their turn, maxQueuedEach those of one
	// asker, maxWait how long one of them waits.
	maxQueued     = 1024
	maxQueuedEach = 64
	maxWait       = 10 * time.Second
	// Of the names that are asked for at a time strangers may have three quarters all
	// together, and one of them an eighth.
	strangersOf4 = 3
	eachOf8      = 1
)

// job is a target that has to be asked for. asker is on whose behalf; 0: our own, or one
// whose name is known.
type job struct {
	target Target
	entry  *entry
	asker  uint64
	since  time.Time
}

// queue decides what is asked for next: first the names of our own and those that are
// known, then one of each asker in turn. Whoever invents names so waits for their own
// inventions, and keeps nobody else waiting.
type queue struct {
	most               int // names at a time
	running, strangers int // all of them, and those of strangers
	waiting            int
	express            []job
	askers             map[uint64]*asker
	turn               []uint64 // the askers whose names wait, the next one first
}

type asker struct {
	jobs    []job
	running int
}

// add takes a job; false: there is too much.
func (q *queue) add(j job) bool {
	if j.asker == 0 {
		if len(q.express) >= maxQueued {
			return false
		}
		q.express = append(q.express, j)
		return true
	}
	a := q.askers[j.asker]
	if q.waiting >= maxQueued || a != nil && len(a.jobs) >= maxQueuedEach {
		return false
	}
	if a == nil {
		a = &asker{}
		q.askers[j.asker] = a
	}
	if len(a.jobs) == 0 {
		q.turn = append(q.turn, j.asker)
	}
	a.jobs = append(a.jobs, j)
	q.waiting++
	return true
}

// next gives what is to be asked for now, and counts it; false: nothing.
func (q *queue) next() (j job, ok bool) {
	switch {
	case q.running >= q.most:
		return j, false
	case len(q.express) > 0:
		j, q.express = q.express[0], q.express[1:]
		q.running++
		return j, true
	case q.strangers >= max(1, q.most*strangersOf4/4):
		return j, false
	}
	each := max(1, q.most*eachOf8/8)
	i := slices.IndexFunc(q.turn, func(who uint64) bool { return q.askers[who].running < each })
	if i < 0 {
		return j, false
	}
	who := q.turn[i]
	a := q.askers[who]
	j, a.jobs = a.jobs[0], a.jobs[1:]
	q.turn = slices.Delete(q.turn, i, i+1)
	if len(a.jobs) > 0 {
		q.turn = append(q.turn, who)
	}
	a.running++
	q.waiting--
	q.running++
	q.strangers++
	return j, true
}

// done notes the end of a job.
func (q *queue) done(j job) {
	q.running--
	if j.asker == 0 {
		return
	}
	q.strangers--
	a := q.askers[j.asker]
	if a.running--; a.running == 0 && len(a.jobs) == 0 {
		delete(q.askers, j.asker)
	}
}
