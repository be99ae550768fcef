package redelivery

import (
	"context"
	"time"

	"rewatch/dialogs"
)

// rest waits for a signal, or for that time if it is not 0.
func (p *Postman) rest(ctx context.Context, d time.Duration) {
	var passed <-chan time.Time
	if d > 0 {
		asleep := time.Now()
		defer func() { p.slept(asleep, d) }()
		t := time.NewTimer(d)
		defer t.Stop()
		passed = t.C
	}
	select {
	case <-ctx.Done():
	case <-p.wake:
	case <-passed:
	}
}

// pace waits until the rate allows for an attempt.
func (p *Postman) pace(ctx context.Context) error {
	asleep := time.Now()
	defer func() { p.slept(asleep, time.Duration(float64(time.Second)/float64(p.limit.Limit()))) }()
	return p.limit.Wait(ctx)
}

// slept notes whether the process stood still after asleep, for more than d.
func (p *Postman) slept(asleep time.Time, d time.Duration) {
	if late := dialogs.Overslept(time.Now(), asleep, asleep.Add(d)); late > 0 {
		p.mu.Lock()
		p.keeper.Slept(late)
		p.mu.Unlock()
	}
}
