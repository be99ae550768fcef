// Package ident reads from a message which subscription, event, device and resource it
// is about, and bounds what is kept of a peer's text.
package ident

import "rewatch/dialogs"

// ID names one subscription within a dialog: Call-ID, tags, and the event
// package with its id parameter (RFC 6665 4.4.1). Its slices are borrowed.
type ID struct {
	CallID []byte
	// WatcherTag is the From tag of the SUBSCRIBE and the To tag of the NOTIFY;
	// NotifierTag the other one, empty as long as it is not known.
	WatcherTag, NotifierTag []byte
	// Package and Param are the Event header's value and its id parameter.
	Package, Param []byte
}

// OfNotify reads the ID from a NOTIFY of the server.
func OfNotify(msg *dialogs.Message) ID {
	return ID{msg.CallID, msg.ToTag, msg.FromTag, msg.Event.Package, msg.Event.ID}
}

// OfSubscribe reads the ID from a SUBSCRIBE of the core.
func OfSubscribe(msg *dialogs.Message) ID {
	return ID{msg.CallID, msg.FromTag, msg.ToTag, msg.Event.Package, msg.Event.ID}
}

// Bounds of what is kept of a peer's text, in bytes.
const (
	MaxCallID = 512
	maxTag    = 255
	maxEvent  = 128
)

// Fault says why an ID cannot be kept.
type Fault uint8

const (
	// Sound is no fault.
	Sound Fault = iota
	// Oversize is a part that is longer than what is kept.
	Oversize
	// Malformed is a part that is missing, or that no grammar allows.
	Malformed
)

// Fault says why an ID cannot be kept, if so. Its NotifierTag may be missing.
func (id *ID) Fault() Fault {
	switch {
	case len(id.CallID) > MaxCallID, len(id.WatcherTag) > maxTag, len(id.NotifierTag) > maxTag,
		len(id.Package)+len(IDParam)+len(id.Param) > maxEvent:
		return Oversize
	case len(id.CallID) == 0, len(id.WatcherTag) == 0, len(id.Package) == 0,
		!isPlain(id.CallID), !isPlain(id.WatcherTag), !isPlain(id.NotifierTag):
		return Malformed
	}
	return Sound
}

// IsTag says whether a tag can be kept.
func IsTag(tag []byte) bool { return len(tag) > 0 && len(tag) <= maxTag && isPlain(tag) }

// AppendKey appends what tells an ID from all others: its parts, each with a zero byte
// behind it.
func (id *ID) AppendKey(b []byte) []byte {
	for _, part := range [...][]byte{id.CallID, id.WatcherTag, id.NotifierTag, id.Package} {
		b = append(append(b, part...), 0)
	}
	if len(id.Param) > 0 {
		b = append(append(b[:len(b)-1], IDParam...), id.Param...)
		b = append(b, 0)
	}
	return b
}
