package alarm

import "time"

// Severity is the perceived severity of X.733 8.1.2.3.
type Severity string

// The severities that rewatch uses.
const (
	Critical Severity = "critical"
	Major    Severity = "major"
	Minor    Severity = "minor"
	Warning  Severity = "warning"
	Cleared  Severity = "cleared"
)

// Alarm has the fields of X.733. Name and Object identify it: there is at most
// one active alarm of a name for an object.
type Alarm struct {
	// ID is given at the raise and repeated by the clear.
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Object        string     `json:"object"`
	EventType     string     `json:"event_type"`
	ProbableCause string     `json:"probable_cause"`
	Severity      Severity   `json:"severity"`
	Text          string     `json:"text"`
	RaisedAt      time.Time  `json:"raised_at"`
	ClearedAt     *time.Time `json:"cleared_at,omitempty"`
}
