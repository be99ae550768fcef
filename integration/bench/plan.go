package main

import "time"

// plan is how long and how often everything is measured.
type plan struct {
	rounds   int
	dialogs  int
	moderate float64 // the fixed rate
	// notifyFor and otherFor are how long the moderate rate lasts, saturateFor
	// the closed loop, stepFor one step of the search.
	notifyFor, otherFor, saturateFor, stepFor time.Duration
	// ladder are the rates of the plot; the search goes on between the last that
	// was good and the first that was not.
	ladder []float64
	bisect int // further steps in between
	climbs int // steps of the search for SUBSCRIBE and REGISTER
}

var fullPlan = plan{
	rounds: 3, dialogs: 20000, moderate: 2000,
	notifyFor: 4 * time.Second, otherFor: 2 * time.Second, saturateFor: 2 * time.Second, stepFor: 600 * time.Millisecond,
	ladder: []float64{2000, 5000, 10000, 20000, 35000, 50000, 65000, 80000, 100000, 120000, 140000},
	bisect: 3, climbs: 4,
}

var quickPlan = plan{
	rounds: 1, dialogs: 20000, moderate: 2000,
	notifyFor: 2 * time.Second, otherFor: time.Second, saturateFor: time.Second, stepFor: 300 * time.Millisecond,
	ladder: []float64{5000, 20000, 40000, 60000, 80000, 100000, 120000},
	bisect: 2, climbs: 2,
}
