package policy

import "time"

// CountMode says when the count of MESSAGEs of a user starts anew.
type CountMode uint8

const (
	// CountRegistration counts from registration to de-registration; a
	// re-REGISTER does not reset it.
	CountRegistration CountMode = iota
	// CountRecovery starts anew after each proven recovery as well.
	CountRecovery
)

// OnThreshold says what giving up on a user means.
type OnThreshold uint8

const (
	// Deregister signs the user out with a third-party REGISTER (RFC 3261 10.2.2).
	Deregister OnThreshold = iota
	// Ban signs the user out and refuses them for Rules.Ban.
	Ban
	// Unsubscribe leaves the user registered; only the broken subscriptions end.
	Unsubscribe
)

// Patience says when a client that does not come back upon a MESSAGE is given up.
type Patience uint8

const (
	// PatienceRefresh waits for the client's own next refresh, unless the client has
	// come back upon a MESSAGE before: it may be one that does not know the MESSAGE.
	PatienceRefresh Patience = iota
	// PatienceNone waits no longer than after every MESSAGE.
	PatienceNone
)

// Rules are the operator's choices. They do not change while rewatch runs.
type Rules struct {
	// Threshold is the number of MESSAGEs per count; the failure after them gives up.
	Threshold   int
	Count       CountMode
	OnThreshold OnThreshold
	Patience    Patience
	// StrikeTTL is how long a strike counts; zero: as long as the registration. A
	// strike of the episode that runs counts in any case.
	StrikeTTL time.Duration
	// Ban is how long a banned user is refused.
	Ban time.Duration
	// ResubscribeTimeout is the wait for the SUBSCRIBE after the first MESSAGE
	// of an episode; it doubles with each further one.
	ResubscribeTimeout time.Duration
	// Coalesce is the window in which failures of one watcher share a MESSAGE.
	Coalesce time.Duration
	// ProofTimeout bounds the wait for the first NOTIFY of a new subscription
	// (64*T1, RFC 6665 4.1.2.4, Timer N).
	ProofTimeout time.Duration
	// MessageTimeout bounds the wait for the outcome of a MESSAGE, should it be
	// lost in a restart; longer than Timer F.
	MessageTimeout time.Duration
	// DeregisterRetry is the pause before a failed de-REGISTER is tried again;
	// it doubles with each try, up to DeregisterTries tries.
	DeregisterRetry time.Duration
	DeregisterTries int
	// Apart is how long it is remembered that a count began anew, so that replicas
	// which could not hear of each other do not bring the old one back; zero where
	// there are no others.
	Apart time.Duration
	// Forget is after how long a user who was given up and never came back is
	// forgotten, and the alarm cleared.
	Forget time.Duration
}
