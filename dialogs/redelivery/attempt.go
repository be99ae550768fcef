package redelivery

import (
	"container/heap"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"rewatch/dialogs"
)

const (
	// FirstPause is the longest time before the first attempt without a sign of life.
	FirstPause = 5 * time.Second
	longest    = 120 * time.Second
	// Stale is the age from which a NOTIFY under way is given up for a new one upon a sign
	// of life: its next retransmission may be seconds away (Timer E, RFC 3261 17.1.2.2).
	Stale = 500 * time.Millisecond
)

// pause is the time until the next attempt without a sign of life: 5, 10, 20 ... 120 s,
// up to a fifth less, so that devices that were lost together are not tried together.
func pause(v *device) time.Duration {
	p := min(FirstPause<<min(v.tries, 5), longest)
	h := fnv.New32a()
	_, _ = h.Write([]byte(v.user.name + "\x00" + v.name + strconv.Itoa(v.tries)))
	return p - time.Duration(h.Sum32()%1024)*(p/5)/1024
}

// Alive is a sign of life of a device: what waits for it is due now. An empty device
// stands for all devices of the user (a third-party REGISTER names none).
func (k *Keeper) Alive(now time.Time, name, device string) {
	u := k.users[name]
	if u == nil {
		return
	}
	for _, v := range u.devices {
		if device == "" || v.name == device {
			k.alive(now, v)
		}
	}
}

// alive: an attempt that has been under way for a while is given up for a new one, whose
// retransmissions begin at once. The old one may still be answered (see Done).
func (k *Keeper) alive(now time.Time, v *device) {
	v.tries = 0
	switch {
	case v.inFlight == nil:
		turn, _ := v.turn(now)
		v.heard = turn == nil
	case now.Sub(v.sent) <= Stale:
		v.heard = true
		return
	default:
		k.abandon(v)
	}
	if now.Before(v.next) || v.place < 0 {
		v.next = now
		k.settle(v)
	}
}

// Next gives an attempt that is due, or when one will be; the zero time: nothing waits.
// The device is not due again before Done.
func (k *Keeper) Next(now time.Time) (Attempt, time.Time, bool) {
	for len(k.due.heap) > 0 {
		v := k.due.heap[0]
		if v.next.After(now) {
			return Attempt{}, v.next, false
		}
		d, at := v.turn(now)
		if d == nil {
			v.next = at
			k.due.put(v)
			continue
		}
		return k.begin(now, d), now, true
	}
	return Attempt{}, time.Time{}, false
}

// begin is the next attempt of a dialog.
func (k *Keeper) begin(now time.Time, d *dialog) Attempt {
	v, i := d.device, d.queue[0]
	k.recall(&d.order, i.CSeq)
	k.last++
	v.inFlight, v.id, v.sent = d, k.last, now
	k.due.take(v)
	i.tries++
	return Attempt{
		ID: v.id, User: i.User, Device: i.Device, Dialog: d.key, CSeq: i.CSeq, Try: i.tries, Parcel: i.Parcel, Hop: i.Hop,
		Prompt: !d.order.broken,
	}
}

// Postpone puts back an attempt that was not sent, because its hop is held: it is due
// again at that time.
func (k *Keeper) Postpone(a *Attempt, until time.Time) {
	d := k.under(a)
	if d == nil {
		return
	}
	d.queue[0].tries--
	v := d.device
	v.inFlight, v.next = nil, until
	k.settle(v)
}

// under finds the dialog of an attempt whose outcome is still awaited.
func (k *Keeper) under(a *Attempt) *dialog {
	d := k.dialogs[a.Dialog]
	if d == nil || d.device.inFlight != d || d.device.id != a.ID {
		return nil
	}
	return d
}

// Done tells how an attempt went. The outcome of one that is not awaited any more changes
// nothing, but for a 2xx: the phone has it.
func (k *Keeper) Done(now time.Time, a *Attempt, o Outcome) []End {
	d := k.under(a)
	if d == nil {
		return k.loosened(now, a, o)
	}
	v, i := d.device, d.queue[0]
	switch o {
	case Accepted:
		return k.past(now, d, Delivered)
	case Final:
		return k.refused(now, d, a)
	case Failed500:
		if i.Unanswered && !i.Overtaken {
			return k.past(now, d, Delivered)
		}
		if i.Refused {
			return k.refused(now, d, a)
		}
		i.Refused = true
	case Silence:
		i.Unanswered = true
	case Temporary:
	}
	v.inFlight, d.order.broken = nil, true
	k.prune(&d.order, now)
	ends := k.replace(d)
	v.dialogs = append(slices.DeleteFunc(v.dialogs, func(have *dialog) bool { return have == d }), d) // another has its turn
	if !v.heard {
		v.tries++
	}
	k.again(now, v)
	return ends
}

// again sets the time of the next attempt after a failure.
func (k *Keeper) again(now time.Time, v *device) {
	v.next = now.Add(pause(v))
	if v.heard {
		v.heard = false
		v.next = now.Add(time.Second) // the sign of life came during the attempt
	}
	k.settle(v)
}

// refused is a NOTIFY that the phone will not take. Its subscription has failed with it,
// unless the answer speaks of this NOTIFY alone.
func (k *Keeper) refused(now time.Time, d *dialog, a *Attempt) []End {
	if a.Alone {
		return k.past(now, d, Dropped)
	}
	d.device.inFlight = nil
	return k.close(d, GivenBack, nil)
}

// past is a NOTIFY that the phone has answered for good. That is a sign of life: what else
// waits for the device is due.
func (k *Keeper) past(now time.Time, d *dialog, r Result) []End {
	v := d.device
	if v.inFlight == d {
		v.inFlight = nil
	}
	i := d.queue[0]
	ends := k.end(d, 0, r, nil)
	k.took(now, d, i)
	v.tries, v.heard, v.next = 0, false, now
	if len(d.queue) == 0 {
		return k.close(d, Delivered, ends)
	}
	d.misses()
	k.settle(v)
	return ends
}

// Had tells that the phone has a NOTIFY of a dialog, by whatever way: what is older must
// not come after it.
func (k *Keeper) Had(now time.Time, dialog uint64, cseq uint32) (ends []End) {
	if o := k.orderOf(dialog); o != nil && o.shown != nil && o.shown.CSeq < cseq {
		k.show(o, nil) // it is not what the phone took last
	}
	k.answered(now, dialog, servers, cseq, true)
	d := k.dialogs[dialog]
	if d == nil {
		return nil
	}
	if d.device.inFlight == d && d.queue[0].CSeq <= cseq {
		k.abandon(d.device)
	}
	for len(d.queue) > 0 && d.queue[0].CSeq <= cseq {
		i := d.queue[0]
		if i.CSeq < cseq {
			ends = k.end(d, 0, Replaced, ends)
			continue
		}
		ends = k.end(d, 0, Delivered, ends)
		k.took(now, d, i)
	}
	if len(d.queue) == 0 {
		return k.close(d, Delivered, ends)
	}
	d.misses()
	d.order.after = time.Time{}
	k.alive(now, d.device)
	return ends
}

// Overtake tells that the phone has a NOTIFY of another subscription in the same dialog (see
// Notify.Overtaken).
func (k *Keeper) Overtake(dialog uint64, cseq uint32) {
	if d := k.dialogs[dialog]; d != nil {
		for _, i := range d.queue {
			i.Overtaken = i.Overtaken || i.CSeq < cseq
		}
	}
}

// Slept tells that the process stood still for a time. It could deliver nothing then, so that
// does not count as time in which a NOTIFY is kept.
func (k *Keeper) Slept(d time.Duration) { k.stood += d }

// Expire gives back the dialogs whose device has missed something for too long.
func (k *Keeper) Expire(now time.Time) (ends []End) {
	k.calmed(now)
	for _, d := range k.dialogs {
		if now.Sub(d.since)-(k.stood-d.stood) >= k.cfg.For {
			ends = k.close(d, GivenBack, ends)
		}
	}
	return ends
}

// Classify tells what an outcome of a NOTIFY means for its redelivery. The first outcome
// and those of the attempts are judged alike.
func Classify(o *dialogs.Outcome) Outcome {
	switch {
	case o.Kind == dialogs.TimedOut:
		return Silence
	case o.Kind != dialogs.Responded:
		return Temporary
	case o.Status >= 200 && o.Status < 300:
		return Accepted
	case o.Status == 401 || o.Status == 407 || o.Status == 481 || o.Status == 489:
		return Final // a challenge is the server's to answer; a dialog that is gone stays gone
	case o.RetryAfter >= 0:
		return Temporary
	}
	switch o.Status {
	case 408, 480, 491, 502, 503, 504:
		return Temporary
	case 500:
		return Failed500
	}
	return Final
}

// agenda orders the devices by when their next attempt is due.
type agenda struct{ heap byTime }

// put adds a device, or moves it to where its time is now.
func (a *agenda) put(v *device) {
	if v.place >= 0 {
		heap.Fix(&a.heap, v.place)
		return
	}
	heap.Push(&a.heap, v)
}

func (a *agenda) take(v *device) {
	if v.place >= 0 {
		heap.Remove(&a.heap, v.place)
	}
}

type byTime []*device

func (b byTime) Len() int           { return len(b) }
func (b byTime) Less(i, j int) bool { return b[i].next.Before(b[j].next) }

func (b byTime) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].place, b[j].place = i, j
}

func (b *byTime) Push(x any) {
	v := x.(*device) //nolint:errcheck,forcetypeassert // only devices are pushed
	v.place = len(*b)
	*b = append(*b, v)
}

func (b *byTime) Pop() any {
	old := *b
	v := old[len(old)-1]
	old[len(old)-1] = nil
	v.place = -1
	*b = old[:len(old)-1]
	return v
}
