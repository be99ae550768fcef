package alarm

import (
	"context"
	"time"
)

// Sink is one receiver of alarms. Deliver tells it of one raise or clear
// (Alarm.ClearedAt says which) and may block until ctx ends; an error is retried
// unless it is [Permanent].
type Sink interface {
	Name() string
	Deliver(ctx context.Context, a Alarm) error
}

// Refresher is a Sink whose receiver forgets an alarm that is not repeated.
type Refresher interface {
	Sink
	// Interval is the pause between two repetitions.
	Interval() time.Duration
	// Refresh repeats every active alarm.
	Refresh(ctx context.Context, active []Alarm) error
}
