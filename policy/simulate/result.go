package simulate

import (
	"slices"
	"time"
)

// Result is what a run showed.
type Result struct {
	Config Config
	// Broken counts the watchers who lost a subscription, each time they did;
	// Recovered those who had all of them back at the end.
	Broken, Recovered int
	// Messages and Deregisters were sent. Wrong are the users who were signed out
	// though their phone was alive, and not just being switched on.
	Messages, Deregisters, Wrong int
	// Lost counts the subscriptions that the server deleted, Delivered the NOTIFYs that were
	// kept and got through.
	Lost, Delivered int
	// WrongBy are these, by what their clients do.
	WrongBy [kinds]int
	// Strikes counts the watchers who have MESSAGEs on their count at the end.
	Strikes int
	// Holds counts the times that a hold began, Held is the longest time that any
	// replica held.
	Holds int
	Held  time.Duration
	// PeakMessages and PeakDeregisters are the most in one second, of all replicas.
	PeakMessages, PeakDeregisters int
	// P50 and P99 are the time from the lost NOTIFY, or from the return of the
	// dead phone, until every subscription of the watcher is back.
	P50, P99 time.Duration
	Series   []Second

	took []moment
}

// Second is what happened in one second, for the plot.
type Second struct {
	Messages, Deregisters int
	// Broken is how many watchers are without a subscription, Held how many
	// replicas hold.
	Broken, Held int
	// Carried are the requests that recovery and redelivery had the core carry.
	Carried int
}

// second is the entry of the series for a time.
func (r *Result) second(now moment) *Second {
	i := int(now / steps(time.Second))
	for len(r.Series) <= i {
		r.Series = append(r.Series, Second{})
	}
	return &r.Series[i]
}

// finish works out what needs all of the run.
func (r *Result) finish(held []moment) {
	slices.Sort(r.took)
	r.P50, r.P99 = r.percentile(50), r.percentile(99)
	r.Recovered = len(r.took)
	r.took = nil
	for _, s := range r.Series {
		r.PeakMessages = max(r.PeakMessages, s.Messages)
		r.PeakDeregisters = max(r.PeakDeregisters, s.Deregisters)
	}
	if len(held) > 0 {
		r.Held = time.Duration(slices.Max(held)) * step
	}
}

func (r *Result) percentile(p int) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	return time.Duration(r.took[(len(r.took)-1)*p/100]) * step
}

// After counts what the core had to carry from a time on, what of that in the second
// with the most, and after how long the last watcher had all that it should have; false:
// some never had.
func (r *Result) After(since time.Duration) (carried, peak int, last time.Duration, ok bool) {
	first := int(since / time.Second)
	for i, s := range r.Series {
		if i < first {
			continue
		}
		carried += s.Carried
		peak = max(peak, s.Carried)
		if s.Broken > 0 {
			last = time.Duration(i+1-first) * time.Second
		}
	}
	return carried, peak, last, len(r.Series) > 0 && r.Series[len(r.Series)-1].Broken == 0
}
