package queue

import (
	"context"
	"time"
)

// pace spaces requests evenly, because the failures that cause them come in bursts. It is used
// by one goroutine.
type pace struct {
	every time.Duration // 0: no limit
	next  time.Time
	debt  time.Duration // how late turns were, which is made up for
}

// A turn may be late by catchUp without a loss: timers are never exact and a processor is
// shared, so the rate would be lower than the limit otherwise. If a turn is later than that, the
// next ones come sooner, each by a makeUp-th part of the pause, as long as jobs wait: a queue of
// thousands must neither fall behind for good when the machine stalls, nor catch up at once.
const (
	catchUp = 100 * time.Millisecond
	makeUp  = 20
	maxDebt = 10 * time.Second
)

func newPace(perSecond float64) *pace {
	p := new(pace)
	if perSecond > 0 {
		p.every = time.Duration(float64(time.Second) / perSecond)
	}
	p.idle()
	return p
}

// wait waits until the next may begin; false if ctx ends before.
func (p *pace) wait(ctx context.Context) bool {
	if p.every == 0 {
		return ctx.Err() == nil
	}
	if soonest := time.Now().Add(-catchUp); p.next.Before(soonest) {
		p.debt = min(p.debt+soonest.Sub(p.next), maxDebt)
		p.next = soonest
	}
	ok := SleepUntil(ctx, p.next)
	sooner := min(p.debt, p.every/makeUp)
	p.debt -= sooner
	p.next = p.next.Add(p.every - sooner)
	return ok
}

// idle notes that nobody waited: turns that were not taken are no credit.
func (p *pace) idle() {
	if now := time.Now(); p.next.Before(now) {
		p.next = now
	}
	p.debt = 0
}

// SleepUntil waits until a time; false if ctx ends before.
func SleepUntil(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	return wait <= 0 && ctx.Err() == nil || wait > 0 && Sleep(ctx, wait)
}

// Sleep waits for a time; false if ctx ends before.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Signal wakes whoever waits for c, which has room for one signal.
func Signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake already
	}
}
