package redelivery

import (
	"bytes"
	"slices"
	"time"
)

// Reached is a sign of life in a dialog, by a request with a Contact. If the client has
// moved, its NOTIFYs go there (RFC 3261 12.2.2, a target refresh): at the old Contact nobody
// would answer.
func (k *Keeper) Reached(now time.Time, dialog uint64, old, contact string) {
	d := k.dialogs[dialog]
	if d == nil {
		return
	}
	if old != contact {
		for _, i := range d.queue {
			k.bytes -= i.size()
			i.Parcel.Raw = retarget(i.Parcel.Raw, old, contact)
			k.bytes += i.size()
		}
		if d.device.inFlight == d {
			k.abandon(d.device)
		}
	}
	k.alive(now, d.device)
}

// retarget replaces the Request-URI of a request, if it is that.
func retarget(raw []byte, old, contact string) []byte {
	method, rest, _ := bytes.Cut(raw, []byte(" "))
	uri, _, ok := bytes.Cut(rest, []byte(" "))
	if !ok || string(uri) != old {
		return raw
	}
	return slices.Concat(method, []byte(" "+contact), rest[len(uri):])
}
