package redelivery

import (
	"math"
	"slices"
	"time"
)

// order is what the NOTIFYs of a dialog have to wait for besides their turn, so that the
// phone does not meet with an older one after a newer one. A client may take the older
// state for the newer (RFC 3261 12.2.2 has it answer 500, but not all do).
type order struct {
	// after is when the server's own sending of an earlier NOTIFY is over at the latest.
	after time.Time
	// loose are the attempts that were given up for newer ones before they were answered.
	loose []loose
	// enough is when the next NOTIFY stops waiting for them: some time after the phone has
	// answered (patience).
	enough time.Time
	// shown is the last NOTIFY that the phone accepted while older ones are loose. If the
	// phone accepts a loose one after it, shown is sent once more.
	shown *item
	// broken: a NOTIFY of the dialog could not be delivered. Otherwise the NOTIFYs only wait
	// for their turn.
	broken bool
}

// loose is an attempt that was given up without an answer. A proxy that has it may still
// retransmit it, and so it may reach the phone until then.
type loose struct {
	attempt  uint64
	cseq     uint32
	until    time.Time
	recalled bool
}

const (
	// lifetime is for how long a proxy sends a NOTIFY again (Timer F, RFC 3261 17.1.2.2).
	lifetime = 32 * time.Second
	// patience is for how long the next NOTIFY waits for what is loose once the phone is
	// reached. A proxy may pause for longer (Timer E), but the phone is to be current two seconds after
	// its sign of life: what comes later is a copy of what it has had, with a lower CSeq.
	patience = 1200 * time.Millisecond
	// maxLoose bounds them.
	maxLoose = 4
	// servers stands for the server's own transaction, which is no attempt of rewatch.
	servers = math.MaxUint64
)

// loosen notes that an attempt was given up.
func (k *Keeper) loosen(o *order, attempt uint64, cseq uint32, sent time.Time) {
	if len(o.loose) == maxLoose { // without the oldest one
		k.tighten(o, func(l *loose) bool { return l == &o.loose[0] })
	}
	if len(o.loose) == 0 {
		o.enough = time.Time{}
	}
	o.loose = append(o.loose, loose{attempt: attempt, cseq: cseq, until: sent.Add(lifetime)})
}

// tighten forgets the loose attempts that are over: their outcomes are not awaited any more.
func (k *Keeper) tighten(o *order, over func(*loose) bool) {
	kept := o.loose[:0]
	for i := range o.loose {
		l := o.loose[i]
		if !over(&o.loose[i]) {
			kept = append(kept, l)
		} else if l.attempt != servers {
			k.recalled, k.over = append(k.recalled, l.attempt), append(k.over, l.attempt)
		}
	}
	if o.loose = kept; len(kept) == 0 {
		k.show(o, nil)
	}
}

// forget forgets all loose attempts.
func (k *Keeper) forget(o *order) { k.tighten(o, func(*loose) bool { return true }) }

// prune forgets the loose attempts whose time is over.
func (k *Keeper) prune(o *order, now time.Time) {
	k.tighten(o, func(l *loose) bool { return !l.until.After(now) })
}

// show notes what the phone took last. Its bytes count as long as they are remembered.
func (k *Keeper) show(o *order, i *item) {
	if o.shown != nil {
		k.bytes -= o.shown.size()
	}
	if o.shown = i; i != nil {
		k.bytes += i.size()
	}
}

// recall ends rewatch's own retransmissions of the loose attempts that are older than a NOTIFY
// which is sent now.
func (k *Keeper) recall(o *order, cseq uint32) {
	for i := range o.loose {
		if l := &o.loose[i]; l.cseq < cseq && !l.recalled && l.attempt != servers {
			l.recalled = true
			k.recalled = append(k.recalled, l.attempt)
		}
	}
}

// calm is when the loose attempts with a lower CSeq cannot reach the phone any more; the zero
// time: there are none.
func (o *order) calm(cseq uint32) (at time.Time) {
	for _, l := range o.loose {
		if l.cseq < cseq && l.until.After(at) {
			at = l.until
		}
	}
	return at
}

// answered removes a loose attempt that was answered; false: it was not loose.
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
	case n.Queued && !d.order.broken && !d.waits():
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
	o := &d.order
	calm := o.calm(d.queue[0].CSeq)
	if !o.enough.IsZero() && o.enough.Before(calm) {
		calm = o.enough
	}
	if calm.After(o.after) {
		return calm
	}
	return o.after
}

// turn is the dialog of a device that is served now; nil: none is before at.
func (v *device) turn(now time.Time) (turn *dialog, at time.Time) {
	for _, d := range v.dialogs {
		if d.waits() {
			continue
		}
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

// waits tells whether an earlier NOTIFY is kept for another subscription in the same dialog.
func (d *dialog) waits() bool {
	next := d.queue[0]
	return slices.ContainsFunc(d.device.dialogs, func(o *dialog) bool {
		return o.shares(&next.Notify) && o.queue[0].CSeq < next.CSeq
	})
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
		k.lingering[d.key] = &order{loose: d.order.loose, enough: d.order.enough, shown: d.order.shown}
	}
}

// Keeps tells whether something is kept for a dialog.
func (k *Keeper) Keeps(dialog uint64) bool {
	d := k.dialogs[dialog]
	return d != nil && d.keeps()
}

// again counts those that have ended and are sent once more: the first, or none.
func (d *dialog) again() int {
	if d.queue[0].again {
		return 1
	}
	return 0
}

func (d *dialog) keeps() bool { return len(d.queue) > d.again() }

// Holds tells whether a NOTIFY of a dialog has to be kept as well, because it must not
// overtake what is.
func (k *Keeper) Holds(dialog uint64) bool {
	return k.dialogs[dialog] != nil || k.lingering[dialog] != nil
}

// Pending is how many NOTIFYs are kept, and for how many dialogs without any something
// has to be waited for.
func (k *Keeper) Pending() int { return k.kept + k.repeats + len(k.lingering) }

// calmed ends the lingering that is over.
func (k *Keeper) calmed(now time.Time) {
	for key, o := range k.lingering {
		if !o.calm(math.MaxUint32).After(now) {
			k.forget(o)
			delete(k.lingering, key)
		}
	}
}

// loosened is the outcome of an attempt that is not awaited. A 2xx says that the phone
// has that NOTIFY, and any answer of the phone's that what waits for its end may go.
func (k *Keeper) loosened(now time.Time, a *Attempt, o Outcome) []End {
	if o == Silence || !k.answered(now, a.Dialog, a.ID, a.CSeq, o == Accepted) {
		return nil
	}
	d := k.dialogs[a.Dialog]
	if d == nil || o != Accepted || d.queue[0].CSeq != a.CSeq {
		return nil
	}
	if d.device.inFlight == d {
		k.abandon(d.device)
	}
	return k.past(now, d, Delivered)
}

// answered notes that a loose sending in a dialog is; false: there is none. Where the
// phone has taken it after a newer one, it may show the older state, and gets the newer
// one again.
func (k *Keeper) answered(now time.Time, dialog, attempt uint64, cseq uint32, taken bool) bool {
	o, d := k.orderOf(dialog), k.dialogs[dialog]
	if o == nil || !o.answered(attempt) {
		return false
	}
	switch again := o.shown; {
	case d != nil: // what is kept is newer than what was shown
		if o.calm(d.queue[0].CSeq).IsZero() {
			k.resume(now, d.device)
		}
	case again != nil && taken && cseq < again.CSeq:
		again.again, again.Unanswered = true, true
		d = k.open(now, &again.Notify)
		d.queue = append(d.queue, again)
		k.repeats++
		k.bytes += again.size()
		k.show(&d.order, nil)
		k.resume(now, d.device)
	case len(o.loose) == 0:
		k.show(o, nil)
		delete(k.lingering, dialog)
	}
	return true
}

// orderOf is that of a dialog for which something is kept or loose; nil: nothing is.
func (k *Keeper) orderOf(dialog uint64) *order {
	if d := k.dialogs[dialog]; d != nil {
		return &d.order
	}
	return k.lingering[dialog]
}

// took notes what the phone has taken, which is not in the queue any more.
func (k *Keeper) took(now time.Time, d *dialog, i *item) {
	if d.order.enough.IsZero() {
		d.order.enough = now.Add(patience)
	}
	k.show(&d.order, nil)
	if d.order.calm(i.CSeq).After(now) {
		k.show(&d.order, i)
	}
}

// resume has a device looked at again: what its next NOTIFY waited for is over.
func (k *Keeper) resume(now time.Time, v *device) {
	if v.inFlight == nil && now.Before(v.next) {
		v.next = now
		k.settle(v)
	}
}

// Calls gives the attempts that are to be sent again at once, because their device is
// alive; those that must not be sent again; and of these the ones whose end is over for
// the Keeper.
func (k *Keeper) Calls() (hurried, recalled, over []uint64) {
	hurried, recalled, over = k.hurried, k.recalled, k.over
	k.hurried, k.recalled, k.over = nil, nil, nil
	return hurried, recalled, over
}

// Free tells that the server's own sending of the NOTIFY before those that are kept for
// a dialog is over.
func (k *Keeper) Free(now time.Time, dialog uint64) {
	k.answered(now, dialog, servers, 0, false)
	if d := k.dialogs[dialog]; d != nil {
		d.order.after = time.Time{}
		k.resume(now, d.device)
	}
}

// replace ends what newer state makes superfluous, but for what is under way.
func (k *Keeper) replace(d *dialog) (ends []End) {
	for at := 0; at < len(d.queue); {
		if i := d.queue[at]; !d.flying(i) && slices.ContainsFunc(d.queue[at:], func(newer *item) bool { return newer.outdates(i) }) {
			ends = k.end(d, at, Replaced, ends)
		} else {
			at++
		}
	}
	return ends
}
