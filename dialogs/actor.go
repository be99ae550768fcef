package dialogs

import (
	"context"
	"errors"
	"time"

	"rewatch/policy"
	"rewatch/policy/alarm"
)

// Actor sends the requests of the recovery. Package proxy/uac implements it. Its methods block
// until the final outcome; goroutines of the Engine call them, never the SIP path.
type Actor interface {
	// Message sends the MESSAGE (RFC 3428) that tells a watcher which subscriptions failed.
	Message(ctx context.Context, m MessageJob) Result
	// Terminate sends the in-dialog NOTIFY with Subscription-State:
	// terminated;reason=deactivated (RFC 6665 4.1.3).
	Terminate(ctx context.Context, t TerminateJob) Result
	// Deregister sends the third-party REGISTER with Expires: 0 (RFC 3261 10.2.2).
	Deregister(ctx context.Context, d DeregisterJob) Result
}

// Alarms raises and clears alarms. Package policy/alarm implements it.
type Alarms interface {
	Raise(a alarm.Alarm)
	Clear(name, object string, at time.Time)
	// Adopt makes an alarm active, without a notification, that another replica or an
	// earlier process has raised. Release ends one without a notification, because another
	// replica clears it.
	Adopt(a alarm.Alarm)
	Release(name, object string)
	// Amend changes the text of an active alarm to what has happened since it was raised.
	Amend(name, object, text string)
}

// MessageJob is one MESSAGE.
type MessageJob struct {
	AOR         string
	Route       string // URI of the S-CSCF or of the hop that the SUBSCRIBE came from; empty: REWATCH_CORE
	Else        string // as Route, for when that does not take it; empty: nothing more is known
	Attempt, Of int    // this is MESSAGE number Attempt of at most Of
	Broken      []policy.Broken
	More        int // how many failed subscriptions are not in Broken
}

// TerminateJob is one terminating NOTIFY, made from the head of the failed NOTIFY.
type TerminateJob struct {
	Head []byte // the failed NOTIFY as it was forwarded: start line and header fields
	CSeq uint32 // the CSeq to use
}

// DeregisterTarget says where a de-REGISTER goes.
type DeregisterTarget uint8

const (
	// AtCore de-registers the user at the core.
	AtCore DeregisterTarget = iota
	// AtServer ends the third-party registration at the presence server.
	AtServer
)

// DeregisterJob is one third-party REGISTER with Expires: 0.
type DeregisterJob struct {
	AOR     string
	Target  DeregisterTarget
	Route   string // as in MessageJob; unused AtServer
	Contact string // the URI of the binding to remove; empty: all bindings ("*")
	// Device is the +sip.instance or GRUU of the binding, if it is known: the registrar may
	// list the device under another URI, and another device under this one.
	Device string
}

// ErrRefused is the Result.Err of a sign-out whose credentials the core refuses: to repeat it
// with the same credentials is of no use.
var ErrRefused = errors.New("the credentials of rewatch are refused")

// Result is the outcome of one request of rewatch itself.
type Result struct {
	// Status is the final status; 0: there was no final response.
	Status int
	Reason string
	// RetryAfter is after how long a failure may be over; 0: the response does not say.
	RetryAfter time.Duration
	// Others, of a de-REGISTER: the registrar lists other bindings of the user, which stay.
	Others bool
	// Err says why there was no final response, or what was wrong with it (after a
	// de-REGISTER the binding is still listed).
	Err error
}

// OK says whether the request did what it was sent for.
func (r Result) OK() bool { return r.Err == nil && r.Status >= 200 && r.Status < 300 }

// ErrNoResponse is the Result.Err of a request that was not answered in time. The metrics
// count it apart from an error of the network.
var ErrNoResponse = errors.New("no response")

// The Result.Err of a request that cannot have reached the user, and is no attempt.
var (
	// ErrReturned: the core has sent the request back to rewatch.
	ErrReturned = errors.New("the core sends rewatch's own request back to rewatch")
	// ErrCrowded: rewatch had no room to send it.
	ErrCrowded = errors.New("too much is being sent already")
)
