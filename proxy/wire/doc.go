// Package wire reads a SIP message as a view over its own bytes, and edits it by
// splicing.
//
// Scan notes where the lines of the header section begin and end and which of
// them carry a name that forwarding needs; nothing is copied and nothing else is
// looked at. Check sees to the few fields without which a proxy cannot work.
// Address, Param, ParseURI and ParseVia take a single value apart when somebody
// asks for it. Edits is a short list of replacements over the original bytes. What
// is not named by an edit leaves as it came: order, spelling, compact forms,
// folding, unknown headers and the body. Frame finds where a message ends in a
// stream.
//
// The package is pure: no sockets, no clocks, no memory of its own. Every slice
// that it hands out aliases the message and lives as long as that does. It does
// not judge what it does not need: that is left to the end points, and what
// concerns more than form (loops, hops, trust, where to send) to package proxy.
//
// # Why it is lenient here and strict there
//
// A field that is only passed on may look as it likes, because a server that
// works today has to work behind rewatch. What forwarding itself rests on is read
// strictly, above all where two readers could see two messages in the same bytes:
// two Content-Lengths, a start line that is folded, white space within a URI, two
// @ in it. Such a message is refused rather than guessed at.
//
// # Why there are limits
//
// MaxLines bounds what a datagram of 64 KiB can cost, and how much room a Message
// that is used again keeps. Every function goes over its bytes once; none of them
// recurses, backtracks or copies.
package wire
