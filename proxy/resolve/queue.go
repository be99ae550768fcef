package resolve

import (
	"slices"
	"time"
)

const (
	// maxQueued bounds the names that wait, maxQueuedEach those of one asker, maxWait how
	// long one of them waits.
	maxQueued     = 1024
	maxQueuedEach = 64
	maxWait       = 10 * time.Second
	// Of the lookups that run at a time, askers may have three quarters all together, and one
	// asker an eighth. The rest is for our own names and those that are known.
	strangersOf4 = 3
	eachOf8      = 1
)

// job is a target to look up. asker is on whose behalf; 0: it is our own, or known.
type job struct {
	target Target
	entry  *entry
	asker  uint64
	since  time.Time
}

// queue decides what is looked up next: first our own names and those that are known, then one
// of each asker in turn. So an asker of many invented names waits for its own lookups, and does
// not delay the others.
type queue struct {
	most               int // names at a time
	running, strangers int // all lookups, and those of askers
	waiting            int
	express            []job
	askers             map[uint64]*asker
	turn               []uint64 // the askers whose names wait, the next one first
}

type asker struct {
	jobs    []job
	running int
}

// add takes a job; false: too many wait.
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

// next gives the next job to run now, and counts it; false: there is none.
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
