package dialogs

import (
	"context"
	"sync"
	"time"
)

// jobQueue lets requests of one kind begin at a limited rate, the oldest first,
// and bounds how many wait and how many await their outcome.
type jobQueue struct {
	pace   *pace
	slots  chan struct{}
	most   int
	hourly *hourlyCap // nil: none

	mu    sync.Mutex
	jobs  []job
	added chan struct{}
}

// job is one request, or what belongs together with it.
type job struct {
	// ready is asked when the turn is near, and again when it has come. false: it
	// is not to be done now, and whoever said so sees to it.
	ready func(job) bool
	// run blocks until the outcome.
	run func(ctx context.Context)
}

// newJobQueue makes a queue; perSecond 0 is no limit.
func newJobQueue(perSecond float64, concurrency, most int) *jobQueue {
	return &jobQueue{
		pace:  newPace(perSecond),
		slots: make(chan struct{}, concurrency),
		most:  most,
		added: make(chan struct{}, 1),
	}
}

// push adds a job and returns at once; false if there is no room.
func (q *jobQueue) push(j job) bool {
	q.mu.Lock()
	full := len(q.jobs) >= q.most
	if !full {
		q.jobs = append(q.jobs, j)
	}
	q.mu.Unlock()
	signal(q.added)
	return !full
}

// again adds a job that had found room before.
func (q *jobQueue) again(j job) {
	q.mu.Lock()
	q.jobs = append(q.jobs, j)
	q.mu.Unlock()
	signal(q.added)
}

// pop takes the next job; false if there is none.
func (q *jobQueue) pop() (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) == 0 {
		q.jobs = nil
		return job{}, false
	}
	j := q.jobs[0]
	q.jobs[0] = job{}
	q.jobs = q.jobs[1:]
	return j, true
}

// run gives every job its turn until turns ends, and returns when the last job
// that had one is done. The jobs run under requests.
func (q *jobQueue) run(turns, requests context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		j, ok := q.next(turns)
		if !ok {
			return
		}
		running.Go(func() {
			defer func() { <-q.slots }()
			j.run(requests)
		})
	}
}

// next waits for a job that is ready, for its turn and for room, in this order.
// It returns false when turns ends.
func (q *jobQueue) next(turns context.Context) (job, bool) {
	for {
		j, ok := q.wait(turns)
		if !ok {
			return job{}, false
		}
		if !j.ready(j) {
			continue
		}
		if !q.turn(turns) {
			return job{}, false
		}
		if j.ready(j) { // the turn may have been long in coming
			q.hourly.take(time.Now())
			return j, true
		}
		<-q.slots
	}
}

// wait takes the next job. While there is none the hourly cap may cease to bite.
func (q *jobQueue) wait(turns context.Context) (job, bool) {
	for {
		if j, ok := q.pop(); ok {
			return j, true
		}
		var room <-chan time.Time
		if after, biting := q.hourly.biting(time.Now()); biting {
			room = time.After(after)
		}
		select {
		case <-q.added:
			q.pace.idle()
		case <-room:
			q.hourly.ease()
		case <-turns.Done():
			return job{}, false
		}
	}
}

// turn waits until one more may begin.
func (q *jobQueue) turn(turns context.Context) bool {
	if !q.hourly.await(turns) || !q.pace.wait(turns) {
		return false
	}
	select {
	case q.slots <- struct{}{}:
		return true
	case <-turns.Done():
		return false
	}
}
