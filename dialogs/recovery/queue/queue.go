package queue

import (
	"context"
	"sync"
	"time"
)

// Queue lets requests of one kind begin at a limited rate, the oldest first,
// and bounds how many wait and how many await their outcome.
type Queue struct {
	pace   *pace
	slots  chan struct{}
	most   int
	Hourly *Cap // nil: none

	mu    sync.Mutex
	jobs  []Job
	added chan struct{}
}

// Job is one request, or what belongs together with it.
type Job struct {
	// Ready is asked when the turn is near, and again when it has come. false: Ready has taken
	// over the job, which is dropped here.
	Ready func(Job) bool
	// Run blocks until the outcome.
	Run func(ctx context.Context)
}

// New makes a queue of at most so many jobs (most), of which concurrency run at a time;
// perSecond 0 is no limit of the rate.
func New(perSecond float64, concurrency, most int) *Queue {
	return &Queue{
		pace:  newPace(perSecond),
		slots: make(chan struct{}, concurrency),
		most:  most,
		added: make(chan struct{}, 1),
	}
}

// Push adds a job and returns at once; false if the queue is full.
func (q *Queue) Push(j Job) bool {
	q.mu.Lock()
	full := len(q.jobs) >= q.most
	if !full {
		q.jobs = append(q.jobs, j)
	}
	q.mu.Unlock()
	Signal(q.added)
	return !full
}

// Again adds a job that Push has taken before, whether the queue is full or not.
func (q *Queue) Again(j Job) {
	q.mu.Lock()
	q.jobs = append(q.jobs, j)
	q.mu.Unlock()
	Signal(q.added)
}

// pop takes the next job; false if there is none.
func (q *Queue) pop() (Job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) == 0 {
		q.jobs = nil
		return Job{}, false
	}
	j := q.jobs[0]
	q.jobs[0] = Job{}
	q.jobs = q.jobs[1:]
	return j, true
}

// Run gives every job its turn until turns ends, and returns when the last job
// that had one is done. The jobs run under requests.
func (q *Queue) Run(turns, requests context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		j, ok := q.next(turns)
		if !ok {
			return
		}
		running.Go(func() {
			defer func() { <-q.slots }()
			j.Run(requests)
		})
	}
}

// next waits for a job that is ready, for its turn and for room, in this order.
// It returns false when turns ends.
func (q *Queue) next(turns context.Context) (Job, bool) {
	for {
		j, ok := q.wait(turns)
		if !ok {
			return Job{}, false
		}
		if !j.Ready(j) {
			continue
		}
		if !q.turn(turns) {
			return Job{}, false
		}
		if j.Ready(j) { // the turn may have been long in coming
			q.Hourly.take(time.Now())
			return j, true
		}
		<-q.slots
	}
}

// wait takes the next job. While there is none the hourly cap may cease to bite.
func (q *Queue) wait(turns context.Context) (Job, bool) {
	for {
		if j, ok := q.pop(); ok {
			return j, true
		}
		var room <-chan time.Time
		if after, biting := q.Hourly.biting(time.Now()); biting {
			room = time.After(after)
		}
		select {
		case <-q.added:
			q.pace.idle()
		case <-room:
			q.Hourly.set(false)
		case <-turns.Done():
			return Job{}, false
		}
	}
}

// turn waits until one more may begin.
func (q *Queue) turn(turns context.Context) bool {
	if !q.Hourly.await(turns) || !q.pace.wait(turns) {
		return false
	}
	select {
	case q.slots <- struct{}{}:
		return true
	case <-turns.Done():
		return false
	}
}
