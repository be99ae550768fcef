// Package draft is one message at hand and the edits by which it leaves.
//
// A Draft has the message as package wire reads it, and the list of edits over its
// bytes: our Via is pushed or popped, received and rport are noted, Record-Route is
// inserted, Max-Forwards counts down. It builds what rewatch says in its own name from a
// message: an answer, the ACK of a failure. And it knows the hashes and the branch by
// which a transaction is found again.
//
// The package is pure: it knows no sockets, no routes and no transactions. A Draft is the
// workspace of one goroutine and used again for message after message, so that nothing
// is allocated for each.
package draft

import (
	"hash/maphash"
	"time"

	"rewatch/proxy/wire"
)

// Draft is a message at hand.
type Draft struct {
	// Seed is that of the hashes, the same for all of a process.
	Seed maphash.Seed
	Msg  wire.Message
	// Via is the uppermost Via value of the request at hand, Below the one below ours of
	// the response at hand.
	Via, Below wire.ViaValue
	Edits      wire.Edits
	// Delay is how long the request at hand has waited for its 100.
	Delay time.Duration
	// Build is room for a message that does not go into an outbox.
	Build []byte

	text []byte // the texts of edits live here until the message is built
	hash []byte // what is to be hashed
}

// maxKept bounds each of the buffers that a Draft keeps when it is not in use.
const maxKept = 64 << 10

// Trim gives room back that an unusually large message has needed.
func (d *Draft) Trim() {
	if max(cap(d.Build), cap(d.text), cap(d.hash)) > maxKept {
		d.Build, d.text, d.hash = nil, nil, nil
	}
}

// Reset forgets the edits.
func (d *Draft) Reset() {
	d.Edits.Reset()
	d.text = d.text[:0]
}

// Load reads a message that was kept, into a workspace that has none at hand. The
// body may have been cut off.
func (d *Draft) Load(raw []byte) bool {
	if err := wire.Scan(raw, &d.Msg); err != nil && d.Msg.Body == 0 {
		return false
	}
	var ok bool
	d.Via, ok = wire.ParseVia(FirstValue(&d.Msg, wire.Via))
	return ok
}

// Scratch appends to the workspace and gives the appended part, which stays
// valid until the message is built.
func (d *Draft) Scratch(parts ...string) []byte {
	start := len(d.text)
	for _, p := range parts {
		d.text = append(d.text, p...)
	}
	return d.text[start:len(d.text):len(d.text)]
}

// Stripped is the response at hand as it leaves; valid until the next message is
// built.
func (d *Draft) Stripped() []byte {
	if _, ok := d.PopVia(); !ok {
		return nil
	}
	d.Build = d.Edits.AppendTo(d.Build[:0], d.Msg.Raw)
	return d.Build
}

// Skeleton is what answering the request at hand needs of it (RFC 3261 8.2.6): a
// start line, the Vias, From, To, Call-ID, CSeq and Timestamp. It is valid until the
// next message is built.
func (d *Draft) Skeleton() []byte {
	m := &d.Msg
	b := append(append(d.Build[:0], m.Method...), " sip:- SIP/2.0\r\n"...)
	for i := range m.Lines {
		switch l := &m.Lines[i]; l.Name { //nolint:exhaustive // the others are not needed
		case wire.Via, wire.From, wire.To, wire.CallID, wire.CSeq, wire.Timestamp:
			b = append(b, m.Raw[l.Start:l.End]...)
		}
	}
	d.Build = append(b, "\r\n"...)
	return d.Build
}
