package main

import (
	"context"
	"time"

	"rewatch/integration/load"
)

// good tells whether a rate was held: nothing lost, late, wrong or sent again, no
// queue at the end that a longer step would have made a loss of, and the
// generator itself kept the pace.
func (p *point) good(d time.Duration) bool {
	c := p.counts
	return c.Clean() && c.Behind <= max(batchOpen, c.Sent/50) && float64(c.Sent) > .98*p.asked*d.Seconds()
}

// batchOpen is how many transactions may be open at any time at any rate.
const batchOpen = 128

// try measures one rate; a rate that fails has a second chance, since one hiccup
// of the machine is no limit of the system.
func (r *rig) try(ctx context.Context, k load.Kind, f *figures, rate float64) (bool, error) {
	for range 2 {
		p := load.Phase{Kind: k, Dialogs: r.plan.dialogs, First: r.first, Rate: rate, Duration: r.plan.stepFor, Drain: Drain}
		pt, err := r.run(ctx, p)
		if err != nil {
			return false, err
		}
		if pt.good(p.Duration) {
			f.steps = append(f.steps, pt)
			f.best = max(f.best, rate)
			return true, nil
		}
		// What was lost is retransmitted; that must not fall into the next step.
		if err := r.rest(ctx, settle); err != nil {
			return false, err
		}
		// Dialogs that were ended for it would be refused from now on.
		if pt.counts.Rejected > 0 {
			if err := r.subscribe(ctx, r.plan.dialogs); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// Drain is how long a step of the search waits for the last answers: long enough
// to tell late from lost.
const Drain = load.Late + 100*time.Millisecond

// settle is how long retransmissions of a bad step go on at most: their first
// comes after T1, and it is answered.
const settle = 600 * time.Millisecond

// climbLadder goes up the rates of the plot, and then looks for the limit between
// the last good and the first bad one.
func (r *rig) climbLadder(ctx context.Context, f *figures) error {
	low, high := r.plan.moderate, 0.
	for _, rate := range r.plan.ladder {
		ok, err := r.try(ctx, load.Notify, f, rate)
		if err != nil {
			return err
		}
		if !ok {
			high = rate
			break
		}
		low = rate
	}
	if high == 0 {
		return nil
	}
	return r.between(ctx, load.Notify, f, low, high, r.plan.bisect)
}

func (r *rig) between(ctx context.Context, k load.Kind, f *figures, low, high float64, steps int) error {
	for range steps {
		middle := (low + high) / 2
		ok, err := r.try(ctx, k, f, middle)
		if err != nil {
			return err
		}
		if ok {
			low = middle
		} else {
			high = middle
		}
	}
	return nil
}

// climb looks for the limit around what the closed loop has shown.
func (r *rig) climb(ctx context.Context, k load.Kind, f *figures) error {
	rate := f.saturated.rate * .75
	low, high := 0., 0.
	for range r.plan.climbs {
		ok, err := r.try(ctx, k, f, rate)
		if err != nil {
			return err
		}
		if ok {
			low = rate
		} else {
			high = rate
		}
		switch {
		case high == 0:
			rate *= 1.15
		case low == 0:
			rate *= .8
		default:
			rate = (low + high) / 2
		}
	}
	return nil
}
