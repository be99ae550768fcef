// Package wire reads a SIP message as a view over its own bytes, and edits it by
// splicing.
//
// Scan notes where the lines of the header section begin and end and which of them have a name
// that forwarding needs; it copies nothing and reads nothing else. Check checks the few fields
// without which a proxy cannot work. Address, Param, ParseURI and ParseVia parse a single value
// when it is needed. Edits is a short list of replacements over the original bytes. All other
// bytes are sent as they came: order, spelling, compact forms, folding, unknown headers and the
// body. Frame finds where a message ends in a stream.
//
// The package is pure: no sockets, no clocks, no memory of its own. Every slice that it returns
// aliases the message and is valid as long as the message is. It does not check fields that it
// does not need: the end points do, and package proxy checks more than the form (loops, hops,
// trust, where to send).
//
// # Why it is lenient here and strict there
//
// A field that is only forwarded may be malformed, because a server that works today has to work
// behind rewatch. The fields that forwarding needs are read strictly, above all where two readers
// could see two messages in the same bytes: two Content-Lengths, a folded start line, white space
// within a URI, two @ in it. Such a message is refused.
//
// # Why there are limits
//
// MaxLines bounds what a datagram of 64 KiB can cost, and how much room a reused Message keeps.
// Every function reads its bytes once; none of them recurses, backtracks or copies.
package wire
