// Package wire reads a SIP message as a view over its own bytes, and edits it by
// splicing.
//
// Scan notes where the lines of the header section begin and end and which of
// them carry a name that forwarding needs; nothing is copied and nothing else is
// looked at. Edits is a short list of replacements over the original bytes. What
// is not named by an edit leaves as it came: order, spelling, compact forms,
// folding, unknown headers and the body.
//
// The package is pure: no sockets, no clocks, no memory of its own. Every slice
// that it hands out aliases the message and lives as long as that does.
package wire
