package redelivery

import (
	"math"
	"slices"
	"time"
)

// order is what the NOTIFYs of a dialog have to wait for besides their turn, so that the
// phone never meets with an older one after a newer one. A client may take the older
// state for the newer (RFC 3261 12.2.2 has it answer 500, but not all do).
type order struct {
	// after is when the server's own sending of an earlier NOTIFY is over at the latest.
	after time.Time
	// loose are sendings of the NOTIFY with looseCSeq that others have taken the place of
	// before they were answered.
	loose     []loose
	looseCSeq uint32
	// broken: a NOTIFY of the dialog has failed. Else they only wait for their turn.
	broken bool
}

// loose is a sending that may reach the phone until then: a proxy that has it sends it
// again by itself, whatever has become of it here.
type loose struct {
	attempt uint64
	until   time.Time
}

const (
	// lifetime is for how long a proxy sends a NOTIFY again, lastPause for how long it
	// pauses in between, at most (Timers F and E, RFC 3261 17.1.2.2).
	lifetime, lastPause = 32 * time.Second, 4500 * time.Millisecond
	// maxLoose bounds them.
	maxLoose = 4
	// servers is the sending by the server, which is no attempt.
	servers = math.MaxUint64
)

// loosen notes that a sending was given up.
func (k *Keeper) loosen(o *order, attempt uint64, cseq uint32, sent time.Time) {
	if cseq != o.looseCSeq {
		k.forget(o)
	}
	if len(o.loose) == maxLoose {
		o.loose = o.loose[1:] // the oldest one
	}
	o.loose, o.looseCSeq = append(o.loose, loose{attempt, sent.Add(lifetime)}), cseq
}

// forget recalls them.
func (k *Keeper) forget(o *order) {
	for _, l := range o.loose {
		if l.attempt != servers {
			k.recalled = append(k.recalled, l.attempt)
		}
	}
	o.loose = nil
}

// reached notes that the phone is: the next of them, if there is any, is not far.
func (o *order) reached(now time.Time) {
	for i := range o.loose {
		if l := &o.loose[i]; l.until.Sub(now) > lastPause {
			l.until = now.Add(lastPause)
		}
	}
}

// prune leaves out those whose time is over.
func (o *order) prune(now time.Time) {
	o.loose = slices.DeleteFunc(o.loose, func(l loose) bool { return !l.until.After(now) })
}

// calm is when none of them can reach the phone any more.
func (o *order) calm() (at time.Time) {
	for _, l := range o.loose {
		if l.until.After(at) {
			at = l.until
		}
	}
	return at
}

// answered notes that one of them is; false: it is none.
func (o *order) answered(attempt uint64) bool {
	at := slices.IndexFunc(o.loose, func(l loose) bool { return l.attempt == attempt })
	if at >= 0 {
		o.loose = slices.Delete(o.loose, at, at+1)
	}
	return at >= 0
}

// behind notes whether a NOTIFY that is kept waits behind one that the server has sent.
// Where that has just failed, the pauses begin.
func (k *Keeper) behind(now time.Time, d *dialog, n *Notify) {
	waited := !d.order.after.IsZero()
	d.order.after = n.After
	switch v := d.device; {
	case !n.After.IsZero():
	case n.Queued && !d.order.broken:
		k.resume(now, v)
	case n.Queued:
	default:
		d.order.broken = true
		if waited && v.inFlight == nil {
			k.again(now, v)
		}
	}
}

// ready is when the next NOTIFY of a dialog may be sent.
func (d *dialog) ready() time.Time {
	at := d.order.after
	if calm := d.order.calm(); d.queue[0].CSeq > d.order.looseCSeq && calm.After(at) {
		at = calm
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
func (k *Keeper) abandon(v *device) {
	d := v.inFlight
	k.loosen(&d.order, v.id, d.queue[0].CSeq, v.sent)
	d.queue[0].Unanswered = true
	v.inFlight = nil
	k.hurried = append(k.hurried, v.id)
}

// linger notes, of a dialog for which nothing is kept any more, what could come after the
// next NOTIFY.
func (k *Keeper) linger(d *dialog) {
	if len(d.order.loose) > 0 {
		k.lingering[d.key] = &order{loose: d.order.loose, looseCSeq: d.order.looseCSeq}
	}
}

// Keeps tells whether something is kept for a dialog.
func (k *Keeper) Keeps(dialog uint64) bool { return k.dialogs[dialog] != nil }

// Holds tells whether a NOTIFY of a dialog has to be kept as well, because it must not
// overtake what is.
func (k *Keeper) Holds(dialog uint64) bool {
	return k.dialogs[dialog] != nil || k.lingering[dialog] != nil
}

// Pending is how many NOTIFYs are kept, and for how many dialogs without any something
// has to be waited for.
func (k *Keeper) Pending() int { return k.kept + len(k.lingering) }

// calmed ends the lingering that is over.
func (k *Keeper) calmed(now time.Time) {
	for key, o := range k.lingering {
		if !o.calm().After(now) {
			k.forget(o)
			delete(k.lingering, key)
		}
	}
}

// loosened is the outcome of an attempt that is not awaited. A 2xx says that the phone
// has that NOTIFY, and any answer of the phone's that what waits for its end may go.
func (k *Keeper) loosened(now time.Time, a *Attempt, o Outcome) []End {
	if o == Silence || !k.answered(now, a.Dialog, a.ID) {
		return nil
	}
	d := k.dialogs[a.Dialog]
	if d == nil || o != Accepted || d.queue[0].CSeq != a.CSeq {
		return nil
	}
	if d.device.inFlight == d {
		k.abandon(d.device)
	}
	return k.delivered(now, d)
}

// answered notes that a loose sending in a dialog is; false: there is none.
func (k *Keeper) answered(now time.Time, dialog, attempt uint64) bool {
	if o := k.lingering[dialog]; o != nil {
		found := o.answered(attempt)
		if len(o.loose) == 0 {
			delete(k.lingering, dialog)
		}
		return found
	}
	d := k.dialogs[dialog]
	if d == nil || !d.order.answered(attempt) {
		return false
	}
	if len(d.queue) > 0 && d.queue[0].CSeq > d.order.looseCSeq {
		k.resume(now, d.device)
	}
	return true
}

// resume has a device looked at again: what its next NOTIFY waited for is over.
func (k *Keeper) resume(now time.Time, v *device) {
	if v.inFlight == nil && now.Before(v.next) {
		v.next = now
		k.settle(v)
	}
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
	k.answered(now, dialog, servers)
	if d := k.dialogs[dialog]; d != nil {
		d.order.after = time.Time{}
		k.resume(now, d.device)
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
	k.answered(now, dialog, servers)
	d := k.dialogs[dialog]
	if d == nil {
		return nil
	}
	if d.device.inFlight == d && d.queue[0].CSeq <= cseq {
		k.abandon(d.device)
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

// replace ends what full state makes superfluous, but for what is under way.
func (k *Keeper) replace(d *dialog) (ends []End) {
	full := -1
	for at, i := range d.queue {
		if i.Full {
			full = at
		}
	}
	first := 0
	if full > 0 && d.flying(d.queue[0]) {
		first = 1
	}
	for full > first {
		ends = append(ends, k.end(d, first, Replaced))
		full--
	}
	return ends
}
