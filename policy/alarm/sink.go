package alarm

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
)

// Sink is one receiver of alarms. Deliver tells it of one raise or clear
// (Alarm.State says which). It may block until ctx ends, for each sink has a
// goroutine of its own; an error is tried again unless it is [Permanent].
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

// The states of an alarm, as receivers are told.
const (
	Raised = "raised"
	Ended  = "cleared"
)

// State is "raised" or "cleared".
func (a Alarm) State() string {
	if a.ClearedAt == nil {
		return Raised
	}
	return Ended
}

// permanent marks an error that trying again will not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error of a Sink as one that trying again will not mend.
func Permanent(err error) error { return permanent{err} }

// IsPermanent says whether an error was marked by Permanent.
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}

// logSink writes alarms to the log.
type logSink struct{ log zerolog.Logger }

// NewLog returns the Sink that writes to a log.
func NewLog(log zerolog.Logger) Sink { return logSink{log} }

func (logSink) Name() string { return "log" }

func (s logSink) Deliver(_ context.Context, a Alarm) error {
	a = a.Shown()
	e := s.log.WithLevel(level(a)) //nolint:zerologlint // sent below, whatever is added
	if a.ClearedAt != nil {
		e = e.Time("cleared_at", *a.ClearedAt)
	}
	e.Str("id", a.ID).Str("alarm", a.Name).Str("object", a.Object).Str("state", a.State()).
		Str("severity", string(a.Severity)).Str("event_type", a.EventType).
		Str("probable_cause", a.ProbableCause).Time("raised_at", a.RaisedAt).Msg(a.Text)
	return nil
}

func level(a Alarm) zerolog.Level {
	switch {
	case a.ClearedAt != nil:
		return zerolog.InfoLevel
	case a.Severity == Critical || a.Severity == Major:
		return zerolog.ErrorLevel
	}
	return zerolog.WarnLevel
}
