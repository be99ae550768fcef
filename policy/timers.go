package policy

import "time"

// The timers of SIP that the rules follow from, and everything else that waits for a
// transaction.
const (
	// T1 is the estimate of a round trip (RFC 3261 17.1.1.1).
	T1 = 500 * time.Millisecond
	// TimerF is after what a non-INVITE transaction has failed (RFC 3261 17.1.2.2); as
	// Timer N it bounds the wait for the first NOTIFY (RFC 6665 4.1.2.4).
	TimerF = 64 * T1
)
