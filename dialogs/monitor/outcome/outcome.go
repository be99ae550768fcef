// Package outcome says what the end of a NOTIFY transaction means without the state of its
// subscription: whether it is a failure, what it ends (RFC 6665 4.2.2, RFC 5057 section 5),
// and how texts and metrics name it.
package outcome

import (
	"time"

	"rewatch/dialogs"
)

// effect is what a response to a NOTIFY ends (RFC 5057 section 5).
type effect uint8

const (
	endsTransaction effect = iota
	endsUsage
	endsDialog
)

// Worth is what an outcome means without the state of its subscription.
type Worth uint8

const (
	// Success is a 2xx.
	Success Worth = iota
	// Failure means that the subscription has failed.
	Failure
	// Harmless ends only the transaction, which is no failure with REWATCH_FAILURE=rfc.
	Harmless
	// Challenge is a 401 or 407: the server sends the NOTIFY again, with credentials.
	Challenge
	// Temporary is a failure only if no later NOTIFY succeeds in time.
	Temporary
)

// response is one row of the table: what a range of status codes to a NOTIFY means.
type response struct {
	from, to int
	effect   effect
	// any and rfc are the Worth in the two modes of REWATCH_FAILURE.
	any, rfc Worth
	// routing: the path is broken, not the user.
	routing bool
	// pointless: the watcher does not know the package, so that subscribing
	// again leads to the same end.
	pointless bool
}

// responses is the table of DESIGN.md, "When a NOTIFY has failed". Later rows override earlier ones:
// first the classes, then the codes that differ from their class. A Retry-After
// makes any of 3xx-6xx temporary but a challenge.
var responses = []response{
	{from: 200, to: 299, any: Success, rfc: Success},
	// A redirection within a dialog moves the whole dialog and ends nothing (RFC 5057
	// 5.1), but no known server follows it. So it is a failure; in rfc mode the server
	// has time to try elsewhere.
	{from: 300, to: 399, any: Failure, rfc: Temporary},
	// Unknown codes are the x00 of their class (RFC 3261 8.1.3.2). These end
	// only the transaction: the watcher is there and has understood.
	{from: 400, to: 499, any: Failure, rfc: Harmless},
	{from: 500, to: 599, any: Failure, rfc: Harmless},
	{from: 600, to: 699, any: Failure, rfc: Harmless},

	{from: 401, to: 401, any: Challenge, rfc: Challenge},
	// RFC 5057 5.1: "the usage is terminated", though sofia codes no effect.
	{from: 403, to: 403, effect: endsUsage, any: Failure, rfc: Failure},
	// RFC 6665 4.2.2 MUST remove: 404 405 410 416 480-485 489 501 604. The effect
	// is from RFC 5057 5.1.
	{from: 404, to: 404, effect: endsDialog, any: Failure, rfc: Failure},
	{from: 405, to: 405, effect: endsUsage, any: Failure, rfc: Failure},
	{from: 407, to: 407, any: Challenge, rfc: Challenge},
	// RFC 6665 4.2.2 counts it as a timeout.
	{from: 408, to: 408, effect: endsUsage, any: Failure, rfc: Failure},
	{from: 410, to: 410, effect: endsDialog, any: Failure, rfc: Failure},
	{from: 416, to: 416, effect: endsDialog, any: Failure, rfc: Failure},
	{from: 480, to: 480, effect: endsUsage, any: Failure, rfc: Failure},
	{from: 481, to: 481, effect: endsUsage, any: Failure, rfc: Failure},
	// A loop is a fault of routing (RFC 5057 5.1: never retry).
	{from: 482, to: 482, effect: endsDialog, any: Failure, rfc: Failure, routing: true},
	{from: 483, to: 483, effect: endsUsage, any: Failure, rfc: Failure, routing: true},
	{from: 484, to: 485, effect: endsDialog, any: Failure, rfc: Failure},
	{from: 489, to: 489, effect: endsUsage, any: Failure, rfc: Failure, pointless: true},
	// Glare (RFC 3261 14.1): the server sends again within two seconds.
	{from: 491, to: 491, any: Temporary, rfc: Temporary},
	{from: 501, to: 501, effect: endsUsage, any: Failure, rfc: Failure},
	{from: 502, to: 502, effect: endsDialog, any: Failure, rfc: Failure, routing: true},
	// The other next hops were tried before (RFC 3263 4.3), so this one is final.
	{from: 503, to: 503, any: Failure, rfc: Failure},
	{from: 604, to: 604, effect: endsDialog, any: Failure, rfc: Failure},
}

// noResponse is the row of a NOTIFY that got no final response: the
// subscription SHOULD be removed (RFC 6665 4.2.2).
var noResponse = response{effect: endsUsage, any: Failure, rfc: Failure}

// unknownStatus is the row of a number that is no final status code.
var unknownStatus = response{any: Failure, rfc: Harmless}

// byStatus is the row of each code.
var byStatus = func() (spread [700]*response) {
	for i := range responses {
		for code := responses[i].from; code <= responses[i].to; code++ {
			spread[code] = &responses[i]
		}
	}
	return spread
}()

// rowOf finds the row of an outcome.
func rowOf(o *dialogs.Outcome) *response {
	switch {
	case o.Kind != dialogs.Responded:
		return &noResponse
	case o.Status < 200 || o.Status >= len(byStatus):
		return &unknownStatus
	default:
		return byStatus[o.Status]
	}
}

// IsOK says whether the outcome is a 2xx.
func IsOK(o *dialogs.Outcome) bool {
	return o.Kind == dialogs.Responded && o.Status >= 200 && o.Status < 300
}

// Of gives the Worth of an outcome in one of the two modes of REWATCH_FAILURE: any or rfc.
func Of(o *dialogs.Outcome, rfc bool) Worth {
	row := rowOf(o)
	w := row.any
	if rfc {
		w = row.rfc
	}
	if o.Kind == dialogs.Responded && o.Status >= 300 && o.RetryAfter >= 0 && w != Challenge {
		return Temporary
	}
	return w
}

// RoutingFault says whether the outcome (482, 483, 502) shows a broken path, not a broken user.
func RoutingFault(o *dialogs.Outcome) bool { return rowOf(o).routing }

// Pointless says whether a new subscription would fail in the same way (489).
func Pointless(o *dialogs.Outcome) bool { return rowOf(o).pointless }

// defaultRetry is the pause of a temporary failure without Retry-After: the
// longest that RFC 3261 14.1 gives after a 491.
const defaultRetry = 2 * time.Second

// maxRetry bounds a Retry-After.
const maxRetry = 24 * time.Hour

// RetryAfter is the time until the server may try again.
func RetryAfter(o *dialogs.Outcome) time.Duration {
	if o.RetryAfter < 0 {
		return defaultRetry
	}
	return time.Duration(min(o.RetryAfter, int(maxRetry/time.Second))) * time.Second
}

// KillsDialog says whether no further request may be sent in the dialog: after the codes
// that end the whole dialog, and after 481, which says that there is none.
func KillsDialog(o *dialogs.Outcome) bool {
	return rowOf(o).effect == endsDialog || o.Kind == dialogs.Responded && o.Status == 481
}

// EndsRefresh says whether this response to a refresh SUBSCRIBE ends the subscription (RFC
// 6665 4.1.2.2). After any other response the subscription lasts until it expires.
func EndsRefresh(status int) bool {
	switch status {
	case 404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604:
		return true
	}
	return false
}
