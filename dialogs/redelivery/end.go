package redelivery

import (
	"net/netip"
	"time"
)

// Result is how a NOTIFY that was kept has ended.
type Result uint8

const (
	// Delivered: the phone has it.
	Delivered Result = iota
	// Replaced: newer full state has taken its place.
	Replaced
	// GivenBack: it has failed, and with it its subscription.
	GivenBack
	// Dropped: its subscription has ended, or a newer one has taken its place.
	Dropped

	// Results is how many there are.
	Results int = iota
)

// String is the label of the metric.
func (r Result) String() string {
	return [...]string{"delivered", "replaced", "given-back", "dropped"}[r]
}

// End is the end of one NOTIFY.
type End struct {
	User   string
	Dialog uint64
	CSeq   uint32
	Result Result
	// Since is when it was kept, Hop where it was sent first.
	Since time.Time
	Hop   netip.AddrPort
	// Last: nothing is kept for this dialog any more.
	Last bool
}

// Outcome is how an attempt went.
type Outcome uint8

const (
	// Accepted: a 2xx.
	Accepted Outcome = iota
	// Silence: no response, or nobody could be reached.
	Silence
	// Temporary: a response after which the phone may still have its subscription
	// (408, 480, 491, 502, 503, 504, or any with Retry-After).
	Temporary
	// Failed500: a 500. It may say that the phone has had this CSeq (RFC 3261 12.2.2).
	Failed500
	// Final: any other response.
	Final
)
