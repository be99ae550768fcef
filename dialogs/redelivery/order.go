package redelivery

import "time"

// order is what the NOTIFYs of a dialog have to wait for besides their turn, so that the
// phone never meets with an older one after a newer one. A client may take the older
// state for the newer (RFC 3261 12.2.2 has it answer 500, but not all do).
type order struct {
	// after is when the server's own sending of an earlier NOTIFY is over at the latest.
	after time.Time
	// loose is an attempt with looseCSeq that another one has taken the place of. It may
	// reach the phone until calm.
	loose     uint64
	looseCSeq uint32
	calm      time.Time
	// broken: a NOTIFY of the dialog has failed. Else they only wait for their turn.
	broken bool
}

// calmTime is for how long an attempt may still reach a phone that is alive: a proxy
// sends it again after T2 at the latest (Timer E, RFC 3261 17.1.2.2).
const calmTime = 4500 * time.Millisecond

// behind notes whether a NOTIFY that is kept waits behind one that the server has sent.
// Where that has just failed, the pauses begin.
func (k *Keeper) behind(now time.Time, d *dialog, after time.Time) {
	waited := !d.order.after.IsZero()
	d.order.after = after
	if !after.IsZero() {
		return
	}
	d.order.broken = true
	if v := d.device; waited && v.inFlight == nil {
		k.again(now, v)
	}
}

// ready is when the next NOTIFY of a dialog may be sent.
func (d *dialog) ready() time.Time {
	at := d.order.after
	if d.order.loose != 0 && d.queue[0].CSeq > d.order.looseCSeq && d.order.calm.After(at) {
		at = d.order.calm
	}
	return at
}

// turn is the dialog of a device that is served now; nil: none is before at.
func (v *device) turn(now time.Time) (turn *dialog, at time.Time) {
	for _, d := range v.dialogs {
		ready := d.ready()
		if !ready.After(now) {
			return d, ready
		}
		if at.IsZero() || ready.Before(at) {
			at = ready
		}
	}
	return nil, at
}

// abandon gives up waiting for an attempt of a device that is alive. It is sent once more
// at once, so that its answer is not long in coming.
func (k *Keeper) abandon(now time.Time, v *device) {
	d := v.inFlight
	k.forget(d)
	d.order.loose, d.order.looseCSeq, d.order.calm = v.id, d.queue[0].CSeq, now.Add(calmTime)
	d.queue[0].Unanswered = true
	v.inFlight = nil
	k.hurried = append(k.hurried, v.id)
}

// forget recalls an attempt that another one has taken the place of.
func (k *Keeper) forget(d *dialog) {
	if d.order.loose != 0 {
		k.recalled = append(k.recalled, d.order.loose)
		d.order.loose = 0
	}
}

// loosened is the outcome of such an attempt. A 2xx says that the phone has that NOTIFY,
// and any answer of the phone's that what waits for its end may go.
func (k *Keeper) loosened(now time.Time, a *Attempt, o Outcome) []End {
	d := k.dialogs[a.Dialog]
	if d == nil || d.order.loose != a.ID {
		return nil
	}
	d.order.loose = 0
	switch {
	case o == Accepted && d.queue[0].CSeq == a.CSeq:
		if d.device.inFlight == d {
			k.abandon(now, d.device)
		}
		return k.delivered(now, d)
	case o != Silence && d.queue[0].CSeq > a.CSeq:
		k.alive(now, d.device)
	}
	return nil
}

// Calls gives the attempts that are to be sent again at once, because their device is
// alive, and those that nobody awaits any more: they must not reach the phone.
func (k *Keeper) Calls() (hurried, recalled []uint64) {
	hurried, recalled = k.hurried, k.recalled
	k.hurried, k.recalled = nil, nil
	return hurried, recalled
}

// Free tells that the server's own sending of the NOTIFY before those that are kept for
// a dialog is over.
func (k *Keeper) Free(now time.Time, dialog uint64) {
	d := k.dialogs[dialog]
	if d == nil {
		return
	}
	d.order.after = time.Time{}
	if v := d.device; v.inFlight == nil && now.Before(v.next) {
		v.next = now
		k.settle(v)
	}
}

// Reached is a sign of life in a dialog.
func (k *Keeper) Reached(now time.Time, dialog uint64) {
	if d := k.dialogs[dialog]; d != nil {
		k.alive(now, d.device)
	}
}

// Had tells that the phone has a NOTIFY of a dialog, by whatever way: what is older must
// not come after it.
func (k *Keeper) Had(now time.Time, dialog uint64, cseq uint32) (ends []End) {
	d := k.dialogs[dialog]
	if d == nil {
		return nil
	}
	if d.device.inFlight == d && d.queue[0].CSeq <= cseq {
		k.abandon(now, d.device)
	}
	for len(d.queue) > 0 && d.queue[0].CSeq <= cseq {
		r := Replaced
		if d.queue[0].CSeq == cseq {
			r = Delivered
		}
		ends = append(ends, k.end(d, 0, r))
	}
	if len(d.queue) == 0 {
		return k.close(d, Delivered, ends)
	}
	d.since, d.order.after = d.queue[0].since, time.Time{}
	k.alive(now, d.device)
	return ends
}
