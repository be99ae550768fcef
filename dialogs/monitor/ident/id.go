// Package ident reads the subscription, event, device and resource from a message, and bounds
// the text of a peer that is kept.
package ident

import "rewatch/dialogs"

// ID names one subscription: Call-ID and tags of its dialog, event package and id parameter
// (RFC 6665 4.4.1). Its slices are those of the message.
type ID struct {
	CallID []byte
	// WatcherTag is the From tag of the SUBSCRIBE and the To tag of the NOTIFY. NotifierTag
	// is the other one, empty while it is not known.
	WatcherTag, NotifierTag []byte
	// Package and Param are the value of the Event header field and its id parameter.
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

// Bounds of the text of a peer, in bytes.
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
	// Oversize: a part is too long.
	Oversize
	// Malformed: a part is missing, or has characters that no grammar allows.
	Malformed
)

// Fault says why an ID cannot be kept; Sound if it can. Its NotifierTag may be missing.
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

// AppendKey appends the parts of an ID, each with a zero byte after it.
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
