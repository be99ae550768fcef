package dialogs

import (
	"context"
	"sync"

	"golang.org/x/time/rate"
)

// jobQueue lets requests of one kind begin at a limited rate, and bounds how many
// await their outcome. Its length is bounded by what is queued: of one user there
// is never more than one MESSAGE and one de-REGISTER.
type jobQueue struct {
	limiter *rate.Limiter
	slots   chan struct{}

	mu    sync.Mutex
	jobs  []job
	added chan struct{}
}

// job is one request, or what belongs together with it. It blocks until its outcome.
type job func(ctx context.Context)

// newJobQueue makes a queue; perSecond 0 is no limit. Requests are spaced evenly
// rather than let go in bursts, for what they are the answer to comes in bursts.
func newJobQueue(perSecond float64, concurrency int) *jobQueue {
	limit := rate.Inf
	if perSecond > 0 {
		limit = rate.Limit(perSecond)
	}
	return &jobQueue{
		limiter: rate.NewLimiter(limit, 1),
		slots:   make(chan struct{}, concurrency),
		added:   make(chan struct{}, 1),
	}
}

// push adds a job and returns at once.
func (q *jobQueue) push(j job) {
	q.mu.Lock()
	q.jobs = append(q.jobs, j)
	q.mu.Unlock()
	select {
	case q.added <- struct{}{}:
	default:
	}
}

// pop takes the next job, or nil if there is none.
func (q *jobQueue) pop() job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) == 0 {
		q.jobs = nil
		return nil
	}
	j := q.jobs[0]
	q.jobs[0] = nil
	q.jobs = q.jobs[1:]
	return j
}

// run gives every job its turn until turns ends, and returns when the last job
// that had one is done. The jobs run under requests.
func (q *jobQueue) run(turns, requests context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		j := q.next(turns)
		if j == nil {
			return
		}
		running.Go(func() {
			defer func() { <-q.slots }()
			j(requests)
		})
	}
}

// next waits for a job, for its turn and for room, in this order. It returns nil
// when turns ends.
func (q *jobQueue) next(turns context.Context) job {
	j := q.pop()
	for ; j == nil; j = q.pop() {
		select {
		case <-q.added:
		case <-turns.Done():
			return nil
		}
	}
	if q.limiter.Wait(turns) != nil {
		return nil
	}
	select {
	case q.slots <- struct{}{}:
		return j
	case <-turns.Done():
		return nil
	}
}
