package monitor

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

// worth is what an outcome means by itself, before the state of the
// subscription is looked at.
type worth uint8

const (
	// worthOK: a 2xx.
	worthOK worth = iota
	// worthFailure: failed in this mode.
	worthFailure
	// worthLittle: REWATCH_FAILURE=rfc does not call it a failure.
	worthLittle
	// worthChallenge: the server answers it itself, with a new NOTIFY.
	worthChallenge
	// worthWaiting: temporary; the next NOTIFY decides.
	worthWaiting
)

// response is one row of the table: what one status code, or range of codes,
// to a NOTIFY means.
type response struct {
	from, to int
	effect   effect
	// any and rfc: its worth in the two modes of REWATCH_FAILURE.
	any, rfc worth
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
	{from: 200, to: 299, any: worthOK, rfc: worthOK},
	// Redirection within a dialog moves the whole of it and ends nothing (RFC
	// 5057 5.1), but no server we know follows it. By the letter it has failed;
	// in rfc mode the server has its time to try elsewhere.
	{from: 300, to: 399, any: worthFailure, rfc: worthWaiting},
	// Unknown codes are the x00 of their class (RFC 3261 8.1.3.2). These end
	// only the transaction: the watcher is there and has understood.
	{from: 400, to: 499, any: worthFailure, rfc: worthLittle},
	{from: 500, to: 599, any: worthFailure, rfc: worthLittle},
	{from: 600, to: 699, any: worthFailure, rfc: worthLittle},

	{from: 401, to: 401, any: worthChallenge, rfc: worthChallenge},
	// RFC 5057 5.1: "the usage is terminated", though sofia codes no effect.
	{from: 403, to: 403, effect: endsUsage, any: worthFailure, rfc: worthFailure},
	// RFC 6665 4.2.2 MUST remove: 404 405 410 416 480-485 489 501 604. The effect
	// is from RFC 5057 5.1.
	{from: 404, to: 404, effect: endsDialog, any: worthFailure, rfc: worthFailure},
	{from: 405, to: 405, effect: endsUsage, any: worthFailure, rfc: worthFailure},
	{from: 407, to: 407, any: worthChallenge, rfc: worthChallenge},
	// RFC 6665 4.2.2 counts it as the timeout it tells of.
	{from: 408, to: 408, effect: endsUsage, any: worthFailure, rfc: worthFailure},
	{from: 410, to: 410, effect: endsDialog, any: worthFailure, rfc: worthFailure},
	{from: 416, to: 416, effect: endsDialog, any: worthFailure, rfc: worthFailure},
	{from: 480, to: 480, effect: endsUsage, any: worthFailure, rfc: worthFailure},
	{from: 481, to: 481, effect: endsUsage, any: worthFailure, rfc: worthFailure},
	// A loop is made by routing (RFC 5057 5.1: never retry).
	{from: 482, to: 482, effect: endsDialog, any: worthFailure, rfc: worthFailure, routing: true},
	{from: 483, to: 483, effect: endsUsage, any: worthFailure, rfc: worthFailure, routing: true},
	{from: 484, to: 485, effect: endsDialog, any: worthFailure, rfc: worthFailure},
	{from: 489, to: 489, effect: endsUsage, any: worthFailure, rfc: worthFailure, pointless: true},
	// Glare (RFC 3261 14.1): the server sends again within two seconds.
	{from: 491, to: 491, any: worthWaiting, rfc: worthWaiting},
	{from: 501, to: 501, effect: endsUsage, any: worthFailure, rfc: worthFailure},
	{from: 502, to: 502, effect: endsDialog, any: worthFailure, rfc: worthFailure, routing: true},
	// The next hop is tried first (RFC 3263 4.3); what comes through is final.
	{from: 503, to: 503, any: worthFailure, rfc: worthFailure},
	{from: 604, to: 604, effect: endsDialog, any: worthFailure, rfc: worthFailure},
}

// noResponse is the row of a NOTIFY that got no final response: the
// subscription SHOULD be removed (RFC 6665 4.2.2).
var noResponse = response{effect: endsUsage, any: worthFailure, rfc: worthFailure}

// unknownStatus is the row of a number that is no final status code.
var unknownStatus = response{any: worthFailure, rfc: worthLittle}

// byStatus is the table spread out: the row of each code.
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

// isOK says whether the outcome is a 2xx.
func isOK(o *dialogs.Outcome) bool {
	return o.Kind == dialogs.Responded && o.Status >= 200 && o.Status < 300
}

// worthOf weighs the outcome in one of the two modes.
func worthOf(o *dialogs.Outcome, rfc bool) worth {
	row := rowOf(o)
	w := row.any
	if rfc {
		w = row.rfc
	}
	if o.Kind == dialogs.Responded && o.Status >= 300 && o.RetryAfter >= 0 && w != worthChallenge {
		return worthWaiting
	}
	return w
}

// defaultRetry is the pause of a temporary failure without Retry-After: the
// longest that RFC 3261 14.1 gives after a 491.
const defaultRetry = 2 * time.Second

// maxRetry bounds what a Retry-After may ask for.
const maxRetry = 24 * time.Hour

// retryAfter is when the server may be expected to try again.
func retryAfter(o *dialogs.Outcome) time.Duration {
	if o.RetryAfter < 0 {
		return defaultRetry
	}
	return min(time.Duration(min(o.RetryAfter, maxSeconds))*time.Second, maxRetry)
}

// killsDialog says whether nothing may be sent in the dialog any more: the
// codes that end the whole dialog, and 481, which says that there is none.
func killsDialog(o *dialogs.Outcome) bool {
	return rowOf(o).effect == endsDialog || o.Kind == dialogs.Responded && o.Status == 481
}

// endsRefresh says whether this response to a refresh SUBSCRIBE ends the
// subscription (RFC 6665 4.1.2.2); after any other it lives on until it expires.
func endsRefresh(status int) bool {
	switch status {
	case 404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604:
		return true
	}
	return false
}
