package dialogs

import (
	"context"
	"errors"
	"time"

	"rewatch/policy"
	"rewatch/policy/alarm"
)

// Actor carries out what the recovery decided. Package proxy/uac implements it.
// Its methods block until the final outcome; they are called from goroutines of
// the engine, never from the SIP path.
type Actor interface {
	// Message sends the MESSAGE of RFC 3428 that tells a watcher what broke.
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
	// Adopt makes an alarm active that was told of before, by another replica or
	// an earlier process; Release ends one of which another tells.
	Adopt(a alarm.Alarm)
	Release(name, object string)
	// Amend changes the text of an active alarm: what has come of its matter since.
	Amend(name, object, text string)
}

// MessageJob is one MESSAGE.
type MessageJob struct {
	AOR         string
	Route       string // URI of the S-CSCF or of the hop the SUBSCRIBE came from; empty: REWATCH_CORE
	Attempt, Of int
	Broken      []policy.Broken
	More        int
}

// TerminateJob is one terminating NOTIFY, made from the head of the failed one.
type TerminateJob struct {
	AOR  string
	Head []byte // the failed NOTIFY as it was forwarded: start line and headers
	CSeq uint32 // the CSeq to use
}

// DeregisterTarget says who is told.
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
	Contact string // URI to remove; empty: all ("*")
	// Device is the +sip.instance or GRUU of the binding, where it is known: the
	// registrar may list it under another URI, and another device under this one.
	Device string
}

// ErrRefused is the Result.Err of a sign-out whose credentials the core does not take: to
// ask again with the same ones is of no use.
var ErrRefused = errors.New("the credentials of rewatch are refused")

// Result is the outcome of one request of ours.
type Result struct {
	// Status is the final status; 0: none came.
	Status int
	Reason string
	// Others, of a de-REGISTER: the registrar lists other bindings of the user, which stay.
	Others bool
	// Err says why there was no final response, or what was wrong with it (a
	// binding that is still there after a de-REGISTER).
	Err error
}

// OK says whether the request did what it was sent for.
func (r Result) OK() bool { return r.Err == nil && r.Status >= 200 && r.Status < 300 }

// ErrNoResponse is the Result.Err of a request that nobody answered in time. An
// Actor that wraps it lets the metrics tell a silent peer from a broken network.
var ErrNoResponse = errors.New("no response")

// What a Result.Err of an Actor may say of a request that did not get as far as
// the user, and so is no attempt.
var (
	// ErrReturned: the core has sent the request back to us.
	ErrReturned = errors.New("the core sends rewatch's own request back to rewatch")
	// ErrCrowded: there was no room here to send it.
	ErrCrowded = errors.New("too much is being sent already")
)
