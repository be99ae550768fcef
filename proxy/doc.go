// Package proxy is the SIP path: what comes in on one side leaves on the other,
// byte for byte but for the edits of RFC 3261 16.6.
//
// A message goes through like this. A reader of package transport hands its bytes
// to a worker, which scans them (package wire) and decides on the start line
// first. A response to a request of our own, known by its Via branch, goes to package own,
// which gives it to the sender of the request (package uac, joined in cmd). Every other
// response loses our Via and follows the one below it. A request is checked, package route
// removes our own Route entries and chooses the next hops, and package socket sends the
// message with our Via and, where a dialog begins, two Record-Route entries (RFC 5658).
// What is written into it is a list of edits in package draft.
//
// Most requests are forwarded without state: the branch is a hash of what
// identifies the transaction (RFC 3261 16.11), so that retransmissions, CANCEL
// and the ACK of a failure follow their request. A transaction is remembered only
// where something has to be: for every NOTIFY of the server, which is judged when it
// ends, and for every request that comes or leaves by a stream, where retransmission
// or its absence is ours to mend. Package transaction decides what such a
// transaction does next, and says so by a value; the worker does it.
//
// The package knows nothing of recovery. It tells a Monitor what passes, and
// answers the server as the Monitor's verdict says.
//
// # Why
//
// Forwarding works beneath sipgo, on raw bytes, because parsing and serialising
// cost more than everything else together; and because a legacy server must not
// notice that rewatch is there.
package proxy
