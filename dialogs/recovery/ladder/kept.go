package ladder

import (
	"slices"
	"time"

	"rewatch/dialogs"
	"rewatch/policy"
)

// Kept tells what is kept for the phones of a user.
type Kept struct {
	NOTIFYs int       `json:"notifies"`
	Since   time.Time `json:"since"`
}

// What becomes of a delivery, beside what a recovery may come to.
const (
	ResultDelivered = "delivered"
	ResultDropped   = "dropped" // the subscription has ended, or the client has a newer one
	ResultGivenBack = "given-back"
)

// maxDeliveries is how many of what is remembered are deliveries, so that an outage in
// which everybody's NOTIFYs are kept leaves the recoveries their room.
const maxDeliveries = 128

// Keep tells that a NOTIFY is kept for a user, and what waits now. Where nothing runs for
// that user a delivery begins.
func (l *Ladders) Keep(aor string, sub policy.Broken, kept Kept, steps ...dialogs.Step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.latest[aor]
	if r == nil || r.Ended != nil {
		l.thin()
		l.begin(aor, 0, sub.Since, 0)
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

// Left tells that some NOTIFY is kept no more, how that ended, and what waits still. With
// the last one the delivery is over.
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

// adopt makes a recovery of the delivery that has just come to nothing.
func (l *Ladders) adopt(aor string, episode uint64, at time.Time, threshold int) bool {
	r := l.latest[aor]
	if r == nil || !r.Delivery || r.Ended != nil && at.Sub(*r.Ended) > preludeLife {
		return false
	}
	r.episode, r.Of, r.Ended, r.Result, r.Delivery = episode, threshold, nil, "", false
	return true
}
