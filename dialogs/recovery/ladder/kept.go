package ladder

import (
	"slices"
	"time"

	"rewatch/dialogs"
	"rewatch/policy"
)

// Kept tells how many NOTIFYs are kept for the phones of a user, and since when.
type Kept struct {
	NOTIFYs int       `json:"notifies"`
	Since   time.Time `json:"since"`
}

// The results of a delivery, beside those of a recovery.
const (
	ResultDelivered = "delivered"
	ResultDropped   = "dropped"    // the subscription has ended, or the client has a newer one
	ResultGivenBack = "given-back" // it was not delivered in time, so the subscription has failed
)

// maxDeliveries bounds the deliveries that are remembered, so that an outage in which the NOTIFYs of
// all users are kept leaves room for the recoveries.
const maxDeliveries = 128

// Keep notes that a NOTIFY is kept for a user, and what is kept now. A delivery begins unless a
// recovery or delivery of that user is running.
func (l *Ladders) Keep(aor string, sub policy.Broken, kept Kept, steps ...dialogs.Step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.latest[aor]
	if r == nil || r.Ended != nil {
		l.thin()
		l.begin(aor, sub.Since, 0)
		r = l.latest[aor]
		r.Delivery, r.Broken = true, []policy.Broken{sub.Clone()}
	}
	r.Kept = &kept
	for _, s := range steps {
		r.add(s)
	}
	l.weigh(r)
}

// thin makes room for one more delivery.
func (l *Ladders) thin() {
	n, oldest := 0, 0
	for i, r := range slices.Backward(l.all) {
		if r.Delivery {
			n, oldest = n+1, i
		}
	}
	if n >= maxDeliveries {
		l.drop(oldest)
	}
}

// Left notes that a NOTIFY is no longer kept, how that ended, and what is still kept. The delivery
// ends with the last NOTIFY.
func (l *Ladders) Left(aor string, at time.Time, result string, kept Kept) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.latest[aor]
	if r == nil || r.Kept == nil {
		return
	}
	if r.Kept = &kept; kept.NOTIFYs > 0 {
		return
	}
	r.Kept = nil
	if r.Delivery {
		r.end(at, result, policy.Idle)
	}
}

// adopt makes a recovery of a delivery that has just failed; false if there is none.
func (l *Ladders) adopt(aor string, at time.Time, threshold int) bool {
	r := l.latest[aor]
	if r == nil || !r.Delivery || r.Ended != nil && at.Sub(*r.Ended) > preludeLife {
		return false
	}
	r.Of, r.Ended, r.Result, r.Delivery = threshold, nil, "", false
	return true
}
