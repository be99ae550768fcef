package queue

import (
	"context"
	"time"
)

// pace spaces requests evenly rather than to let them go in bursts, for what they
// are the answer to comes in bursts. It is used by one goroutine.
type pace struct {
	every time.Duration // 0: no limit
	next  time.Time
	debt  time.Duration // what turns were late, and is made up for
}

// catchUp is how late a turn may be without being lost. Timers are never exact and
// a processor is shared, so without it there would be fewer than the limit allows.
// What comes later still is made up for bit by bit, each turn a part of makeUp
// sooner, as long as others wait: whoever works off thousands must not fall behind
// for good each time that the machine stalls, nor let what it missed go at once.
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

// SleepUntil waits for a moment; false if ctx ends before.
func SleepUntil(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	return wait <= 0 && ctx.Err() == nil || wait > 0 && Sleep(ctx, wait)
}

// Sleep waits, and says whether the whole time has passed.
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
