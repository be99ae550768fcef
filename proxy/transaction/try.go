package transaction

import "rewatch/proxy/resolve"

// Why tells why a NOTIFY was tried once more before it was judged.
type Why uint8

const (
	// Untaken: a hop, or a transport to it, did not take it.
	Untaken Why = iota
	// Silence: there was no response while the hop had its turn.
	Silence
	// Unavailable: the hop answered 503.
	Unavailable
	// Deferred: the Retry-After of a failure has passed.
	Deferred
	// Glare: the pause after a 491 has passed (RFC 3261 14.1).
	Glare

	// Whys is how many there are.
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
	// Hop is where it went.
	Hop resolve.Hop
}

// tried notes that the request goes to the present hop because of why.
func (t *Transaction) tried(now Now, why Why) {
	if t.kind == Notify && len(t.more.tries) < maxAttempt {
		own := t.own()
		own.tries = append(own.tries, Try{why, now.At, t.hop()})
	}
}
