package monitor

import (
	"hash/maphash"

	"rewatch/dialogs"
)

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

// notifyID reads the ID from a NOTIFY of the server.
func notifyID(msg *dialogs.Message) ID {
	id := ID{CallID: msg.CallID, WatcherTag: msg.ToTag, NotifierTag: msg.FromTag}
	id.Package, id.Param = msg.Event.Package, msg.Event.ID
	return id
}

// subscribeID reads it from a SUBSCRIBE of the core.
func subscribeID(msg *dialogs.Message) ID {
	id := ID{CallID: msg.CallID, WatcherTag: msg.FromTag, NotifierTag: msg.ToTag}
	id.Package, id.Param = msg.Event.Package, msg.Event.ID
	return id
}

// Bounds of what is kept of a peer's text.
const (
	maxCallID = 512
	maxTag    = 255
	maxEvent  = 128
)

// check says why an ID cannot be kept, if so.
func (id *ID) check() untracked {
	switch {
	case len(id.CallID) > maxCallID, len(id.WatcherTag) > maxTag, len(id.NotifierTag) > maxTag,
		len(id.Package)+len(idParam)+len(id.Param) > maxEvent:
		return untrackedOversize
	case len(id.CallID) == 0, len(id.WatcherTag) == 0, len(id.Package) == 0,
		!isPlain(id.CallID), !isPlain(id.WatcherTag), !isPlain(id.NotifierTag):
		return untrackedMalformed
	}
	return tracked
}

// A Ref is the place of a subscription and the generation of that place, so
// that one that outlives its subscription finds nothing: 32 bits generation,
// 26 bits slot, 6 bits shard.
const (
	shardBits = 6
	slotBits  = 26
	shards    = 1 << shardBits
	maxSlots  = 1 << slotBits
)

func makeRef(shard, slot, generation uint32) dialogs.Ref {
	return dialogs.Ref(uint64(generation)<<32 | uint64(slot)<<shardBits | uint64(shard))
}

func shardOf(r dialogs.Ref) uint32      { return uint32(r & (shards - 1)) }
func slotOf(r dialogs.Ref) uint32       { return uint32(r >> shardBits & (maxSlots - 1)) }
func generationOf(r dialogs.Ref) uint32 { return uint32(r >> 32) }

// hashBytes places a Call-ID.
func (h *hasher) hashBytes(b []byte) uint64 { return maphash.Bytes(h.seed, b) }

// identity tells one ID from all others of its Call-ID's shard.
func (h *hasher) identity(id *ID) uint64 {
	var room [256]byte
	b := room[:0]
	for _, part := range [...][]byte{id.CallID, id.WatcherTag, id.NotifierTag, id.Package} {
		b = append(append(b, part...), 0)
	}
	if len(id.Param) > 0 {
		b = append(append(b[:len(b)-1], idParam...), id.Param...)
		b = append(b, 0)
	}
	return maphash.Bytes(h.identities, b)
}

// identify is the identity of a subscription, by its texts.
func (h *hasher) identify(s *subscription) uint64 {
	var room [256]byte
	b := room[:0]
	for i := textCallID; i <= textEvent; i++ {
		b = append(append(b, s.part(i)...), 0)
	}
	return maphash.Bytes(h.identities, b)
}

// hashAOR places a user.
func (h *hasher) hashAOR(aor string) uint64 { return maphash.String(h.seed, aor) }
