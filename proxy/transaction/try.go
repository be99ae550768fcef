package transaction

import "rewatch/proxy/resolve"

// Why is the reason for a further attempt of a NOTIFY before it is judged.
type Why uint8

const (
	// Untaken: it could not be sent to a hop, or not by a transport.
	Untaken Why = iota
	// Silence: the hop did not respond in its share of the time.
	Silence
	// Unavailable: the hop answered 503.
	Unavailable
	// Deferred: the Retry-After of a failure has passed.
	Deferred
	// Glare: the pause after a 491 has passed (RFC 3261 14.1).
	Glare

	// Whys is the number of reasons.
	Whys int = iota
)

// String is the label of the metric.
func (w Why) String() string {
	return [...]string{"transport", "silence", "503", "retry-after", "491"}[w]
}

// Try is one further attempt of a NOTIFY.
type Try struct {
	Why Why
	At  Moment
	// Hop is where it was sent.
	Hop resolve.Hop
}

// tried notes an attempt at the present hop, and its reason.
func (t *Transaction) tried(now Now, why Why) {
	if t.kind == Notify && len(t.more.tries) < maxAttempt {
		own := t.ownMore()
		own.tries = append(own.tries, Try{why, now.At, t.hop()})
	}
}
