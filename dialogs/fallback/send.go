package fallback

import (
	"cmp"
	"context"
	"sync"
	"time"

	"rewatch/dialogs"
)

// Start begins to send.
func (q *Queue) Start(ctx context.Context) {
	ctx, q.cancel = context.WithCancel(ctx)
	go func() {
		defer close(q.ended)
		q.run(ctx)
	}()
}

// Shutdown ends the sending; what was not sent is still kept. The error is the one of ctx.
func (q *Queue) Shutdown(ctx context.Context) error {
	if q.cancel == nil {
		return nil
	}
	q.cancel()
	select {
	case <-q.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run sends the oldest, one after the other, whenever the server is up.
func (q *Queue) run(ctx context.Context) {
	var sending sync.WaitGroup
	defer sending.Wait()
	slots := make(chan struct{}, concurrency)
	for ctx.Err() == nil {
		r := q.next(time.Now())
		if r == nil {
			q.wait(ctx)
			continue
		}
		select {
		case <-ctx.Done():
			q.done(r, dialogs.Result{Err: ctx.Err()}, time.Now())
			return
		case slots <- struct{}{}:
		}
		sending.Go(func() {
			defer func() { <-slots }()
			q.done(r, q.cfg.Send(ctx, r.raw), time.Now())
		})
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
}

// wait returns when there may be something to send.
func (q *Queue) wait(ctx context.Context) {
	var again <-chan time.Time
	if q.Len() > 0 {
		again = time.After(look)
	}
	select {
	case <-ctx.Done():
	case <-q.wake:
	case <-again:
	}
}

// next takes the oldest REGISTER that has not expired; nil: there is none, or it is too early.
// Every trial one is sent although the server is down: a server that does not answer OPTIONS
// may answer a REGISTER.
func (q *Queue) next(now time.Time) *register {
	if !q.On() {
		return nil
	}
	up := q.cfg.Up()
	q.mu.Lock()
	defer q.mu.Unlock()
	if !up && now.Sub(q.tried) < trial {
		return nil
	}
	q.tried = now
	for e := q.order.Front(); e != nil && !now.Before(q.resume); e = q.order.Front() {
		r := e.Value.(*register) //nolint:forcetypeassert // nothing else is in it
		if now.Before(r.until) {
			q.order.Remove(e)
			r.place = nil
			return r
		}
		q.drop(r)
		q.count(expired)
	}
	return nil
}

// done handles the response to a REGISTER. Without one, and after a 5xx that is temporary (RFC
// 3261 21.5), the REGISTER is sent again after a rest; after any other it is not.
func (q *Queue) done(r *register, res dialogs.Result, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	newest := q.users[r.user]
	if newest != nil && newest != r {
		q.place(newest) // which has waited for this one
	}
	switch {
	case res.Status == 0, res.Status == 503, res.Status/100 == 5 && res.RetryAfter > 0:
		if at := now.Add(min(cmp.Or(res.RetryAfter, rest), longestRest)); at.After(q.resume) {
			q.resume = at
		}
		if newest == r {
			q.place(r)
		}
		return
	case res.Status < 300:
		q.count(sent)
	default:
		q.count(refused)
		q.log.Warn().Str("user", r.user).Int("status", res.Status).Msg("the server refuses a REGISTER that was answered while it was down")
	}
	if newest == r {
		q.drop(r)
	}
}
