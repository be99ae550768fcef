package redelivery

import (
	"bytes"
	"slices"
	"time"

	"rewatch/dialogs/aor"
)

// Reached is a sign of life in a dialog, by a request with a Contact. If the client has
// moved, its NOTIFYs go there (RFC 3261 12.2.2, a target refresh): at the old Contact nobody
// would answer. A Contact in the phone's 2xx to a copy would move the target as well (12.2.1.2),
// but the server does not see it: its next NOTIFYs go to the old Contact, where the phone has
// just answered. So do those that are kept.
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

// retarget replaces the Request-URI of a request, if it is the old one in whatever spelling: a
// server may leave out parameters, or write a host in its own way.
func retarget(raw []byte, old, contact string) []byte {
	if uri := Target(raw); string(uri) != old && !sameTarget(string(uri), old) {
		return raw
	}
	return WithTarget(raw, contact)
}

// Target is the Request-URI of a request; empty if there is none.
func Target(raw []byte) []byte {
	_, rest, _ := bytes.Cut(raw, []byte(" "))
	uri, _, ok := bytes.Cut(rest, []byte(" "))
	if !ok {
		return nil
	}
	return uri
}

// WithTarget is a request with another Request-URI.
func WithTarget(raw []byte, contact string) []byte {
	method, rest, _ := bytes.Cut(raw, []byte(" "))
	return slices.Concat(method, []byte(" "+contact), rest[len(Target(raw)):])
}

// sameTarget tells whether two URIs name the same user at the same host and port.
func sameTarget(a, b string) bool {
	one, ok := aor.Canonical(a)
	other, also := aor.Canonical(b)
	return ok && also && one == other
}
