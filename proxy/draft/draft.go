// Package draft is one message at hand and the edits to make before it is sent.
//
// A Draft has the message as package wire reads it, and the list of edits over its
// bytes: our Via is pushed or popped, received and rport are noted, Record-Route is inserted,
// Max-Forwards is decremented. It builds messages of rewatch's own from a message: an answer,
// the ACK of a failure. And it computes the hashes and the branch that identify a transaction.
//
// The package is pure: it knows no sockets, no routes and no transactions. A Draft is the
// workspace of one goroutine and is reused for each message, so that none is allocated.
package draft

import (
	"hash/maphash"
	"time"

	"rewatch/proxy/wire"
)

// Draft is a message at hand.
type Draft struct {
	// Seed is the seed of the hashes, the same for the whole process.
	Seed maphash.Seed
	Msg  wire.Message
	// Via is the uppermost Via value of the request at hand, Below the Via value below ours
	// in the response at hand.
	Via, Below wire.ViaValue
	Edits      wire.Edits
	// Delay is how long the request at hand has waited for its 100.
	Delay time.Duration
	// Build is room for a message that is not built in an outbox.
	Build []byte

	text []byte // the texts of edits live here until the message is built
	hash []byte // what is to be hashed
}

// maxKept bounds each buffer that a Draft keeps while it is not in use.
const maxKept = 64 << 10

// Trim frees the room that an unusually large message needed.
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

// Load parses a message that was kept, as the message at hand. Its body may be cut off.
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

// Stripped is the response at hand as it is forwarded; valid until the next message is built.
func (d *Draft) Stripped() []byte {
	if _, ok := d.PopVia(); !ok {
		return nil
	}
	d.Build = d.Edits.AppendTo(d.Build[:0], d.Msg.Raw)
	return d.Build
}

// Skeleton is the part of the request at hand that an answer needs (RFC 3261 8.2.6): a start
// line, the Vias, From, To, Call-ID, CSeq and Timestamp. It is valid until the next message is
// built.
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
