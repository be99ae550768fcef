package redelivery

import (
	"net/netip"
	"slices"
	"time"

	"rewatch/dialogs"
)

// Config has the bounds of a Keeper.
type Config struct {
	// For is how long a device may miss the state of a dialog before its NOTIFYs have
	// failed (REWATCH_REDELIVER).
	For time.Duration
	// MaxBytes bounds the memory (REWATCH_MAX_REDELIVER).
	MaxBytes int
}

const (
	// maxPerDialog bounds the NOTIFYs that are kept for one dialog.
	maxPerDialog = 16
	// overhead is what a NOTIFY costs beside its bytes and names, at most: its own record
	// and, where it is the only one, those of its dialog, its device and its user.
	overhead = 640
	// perAttempt is what an attempt costs that is under way.
	perAttempt = 300
)

// Budget is the memory that a Postman takes at most, in bytes: for what is kept, an attempt
// under way for each of that, and those that others have taken the place of.
func Budget(o Options) int64 {
	return int64(o.MaxBytes) + perAttempt*(int64(o.MaxBytes/overhead)+int64(o.Rate*lifetime.Seconds()))
}

// Notify is a NOTIFY to keep.
type Notify struct {
	// User and Device are whose it is; Dialog names its subscription.
	User, Device string
	Dialog       uint64
	// Common names the dialog that the subscription may share with others (RFC 5057). They have their
	// CSeqs in common, and a phone refuses one below another (RFC 3261 12.2.2).
	Common uint64
	CSeq   uint32
	// Full: it makes the NOTIFYs before it superfluous. Bare: it has no body. It tells nothing but
	// its Subscription-State (RFC 6665 4.1.3), so it makes those before it superfluous that have
	// none either.
	Full, Bare bool
	// Unanswered: it was sent and met with silence, so that the phone may have it. Loose: a
	// proxy may still retransmit it; it was sent first at Sent.
	Unanswered, Loose bool
	Sent              time.Time
	// Refused is set where it has met with a 500 already.
	Refused bool
	// Overtaken: the phone has a later NOTIFY of another subscription in the same dialog, whose
	// CSeqs they share. It refuses this one by its CSeq, whether it has had it or not.
	Overtaken bool
	// Queued: it was not sent yet, and waits for its turn.
	Queued bool
	// After is when it may be sent at the earliest, because the server's own sending of
	// an earlier NOTIFY of the dialog is not over; Free and Had tell that it is.
	After time.Time
	// Parcel is the message as it came from the server. The Keeper keeps it.
	Parcel dialogs.Parcel
	// Hop is where it was sent last.
	Hop netip.AddrPort
}

// Attempt is a NOTIFY to send now, once more with its own CSeq.
type Attempt struct {
	// ID tells the attempts apart; it is not 0.
	ID           uint64
	User, Device string
	Dialog       uint64
	CSeq         uint32
	// Try counts from 1; it was sent At that time.
	Try    int
	At     time.Time
	Parcel dialogs.Parcel
	Hop    netip.AddrPort
	// Prompt: it has only waited for its turn, in a dialog where nothing failed.
	Prompt bool
	// Alone: the answer says nothing of the subscription (RFC 5057), if it is not a 2xx.
	Alone bool
}

// Keeper keeps the NOTIFYs that wait for their devices.
type Keeper struct {
	cfg     Config
	users   map[string]*user
	dialogs map[uint64]*dialog
	due     agenda
	bytes   int
	kept    int
	repeats int    // of those that have ended and are sent once more
	last    uint64 // ID of an attempt
	// stood is for how long the process has stood still in all.
	stood time.Duration
	// hurried, recalled and over are attempts, see Calls.
	hurried, recalled, over []uint64
	// lingering are the dialogs for which nothing is kept, but something is loose.
	lingering map[uint64]*order
}

// New makes an empty Keeper.
func New(cfg Config) *Keeper {
	return &Keeper{cfg: cfg, users: map[string]*user{}, dialogs: map[uint64]*dialog{}, lingering: map[uint64]*order{}}
}

// user has the devices for which something is kept.
type user struct {
	name    string
	devices []*device
}

// device is delivered to by one attempt at a time.
type device struct {
	user    *user
	name    string
	dialogs []*dialog // the one that is served next first
	// next is when the next attempt is due, tries how many in a row have failed.
	next     time.Time
	tries    int
	inFlight *dialog
	id       uint64 // of that attempt, begun at sent
	sent     time.Time
	// heard: it showed a sign of life while an attempt was under way.
	heard bool
	place int // in the agenda, from 0; -1: not there
}

// dialog has the NOTIFYs of one subscription, in the order of their CSeq.
type dialog struct {
	key    uint64
	device *device
	// since is when the device began to miss something; stood as in Keeper, at that time.
	since time.Time
	stood time.Duration
	queue []*item
	order order
}

type item struct {
	Notify

	since time.Time
	stood time.Duration
	tries int
	again bool // it has ended, and is only sent once more
}

// outdates says whether nobody needs another NOTIFY of the dialog after this one.
func (i *item) outdates(other *item) bool {
	return other.CSeq < i.CSeq && (i.Full || i.Bare && other.Bare)
}

func (i *item) size() int {
	return cap(i.Parcel.Raw) + len(i.User) + len(i.Device) + overhead
}

// Keep takes a NOTIFY. It is false where there is no room; the NOTIFY has failed then,
// and what is kept for its dialog is the caller's to give back. A dialog stays with the
// device that it began with here, whatever subscription of it that was.
func (k *Keeper) Keep(now time.Time, n Notify) (bool, []End) {
	d := k.dialogs[n.Dialog]
	if v := k.deviceOf(d, &n); v != nil {
		n.Device, n.User = v.name, v.user.name
	}
	i := &item{Notify: n, since: now, stood: k.stood}
	freed, left := k.freed(d, i)
	if o := k.orderOf(n.Dialog); o != nil && o.shown != nil {
		freed += o.shown.size()
	}
	if k.bytes-freed+i.size() > k.cfg.MaxBytes || left >= maxPerDialog {
		return false, nil
	}
	if d == nil {
		d = k.open(now, &n)
	}
	at, same := slices.BinarySearchFunc(d.queue, n.CSeq, func(have *item, cseq uint32) int { return int(have.CSeq) - int(cseq) })
	if same {
		return true, nil // a retransmission
	}
	d.queue = slices.Insert(d.queue, at, i)
	k.behind(now, d, &n)
	if n.Loose {
		k.loosen(&d.order, servers, n.CSeq, n.Sent)
	}
	k.kept++
	k.bytes += i.size()
	k.show(&d.order, nil)
	return true, k.replace(d)
}

// deviceOf is the device of a dialog that began here; nil: it has not.
func (k *Keeper) deviceOf(d *dialog, n *Notify) *device {
	if d != nil {
		return d.device
	}
	if u := k.users[n.User]; u != nil {
		for _, v := range u.devices {
			if slices.ContainsFunc(v.dialogs, func(o *dialog) bool { return o.shares(n) }) {
				return v
			}
		}
	}
	return nil
}

// shares tells whether a NOTIFY is of the same dialog.
func (d *dialog) shares(n *Notify) bool { return n.Common != 0 && d.queue[0].Common == n.Common }

// freed tells how many bytes a NOTIFY would make superfluous, and how many of its dialog
// would be left.
func (k *Keeper) freed(d *dialog, i *item) (bytes, left int) {
	if d == nil {
		return 0, 0
	}
	for _, have := range d.queue {
		if i.outdates(have) && !d.flying(have) {
			bytes += have.size()
		} else {
			left++
		}
	}
	return bytes, left
}

// flying tells whether an item is under way, or loose: its answer may come any time, so newer
// state does not replace it.
func (d *dialog) flying(i *item) bool {
	return d.queue[0] == i && (d.device.inFlight == d ||
		slices.ContainsFunc(d.order.loose, func(l loose) bool { return l.cseq == i.CSeq }))
}

// misses notes since when the device misses something: its first NOTIFY that is kept.
func (d *dialog) misses() { d.since, d.stood = d.queue[0].since, d.queue[0].stood }

// open begins a dialog, and with it its device and user.
func (k *Keeper) open(now time.Time, n *Notify) *dialog {
	u := k.users[n.User]
	if u == nil {
		u = &user{name: n.User}
		k.users[n.User] = u
	}
	at := slices.IndexFunc(u.devices, func(v *device) bool { return v.name == n.Device })
	if at < 0 {
		v := &device{user: u, name: n.Device, place: -1}
		v.next = now.Add(pause(v))
		at = len(u.devices)
		u.devices = append(u.devices, v)
		k.due.put(v)
	}
	v := u.devices[at]
	d := &dialog{key: n.Dialog, device: v, since: now, stood: k.stood}
	if o := k.lingering[n.Dialog]; o != nil {
		d.order = *o
		delete(k.lingering, n.Dialog)
	}
	v.dialogs = append(v.dialogs, d)
	k.dialogs[n.Dialog] = d
	return d
}

// end removes one NOTIFY of a dialog that goes on.
func (k *Keeper) end(d *dialog, at int, r Result, ends []End) []End {
	i := d.queue[at]
	d.queue = slices.Delete(d.queue, at, at+1)
	k.bytes -= i.size()
	if i.again {
		k.repeats--
	} else {
		k.kept--
	}
	if i.again && r != GivenBack {
		return ends
	}
	return append(ends, End{
		User: i.User, Dialog: i.Dialog, CSeq: i.CSeq, Result: r, Since: i.since, Hop: i.Hop,
	})
}

// close ends all that is left of a dialog, and the dialog.
func (k *Keeper) close(d *dialog, r Result, ends []End) []End {
	for len(d.queue) > 0 {
		ends = k.end(d, 0, r, ends)
	}
	if n := len(ends); n > 0 {
		ends[n-1].Last = true
	}
	delete(k.dialogs, d.key)
	v := d.device
	v.dialogs = slices.DeleteFunc(v.dialogs, func(have *dialog) bool { return have == d })
	if v.inFlight == d { // its outcome is not awaited any more
		v.inFlight = nil
		k.recalled, k.over = append(k.recalled, v.id), append(k.over, v.id)
	}
	if r == Delivered {
		k.linger(d)
	} else {
		k.forget(&d.order)
	}
	k.settle(v)
	return ends
}

// settle puts a device on the agenda, unless an attempt is under way, and forgets it if nothing
// is kept for it.
func (k *Keeper) settle(v *device) {
	switch {
	case len(v.dialogs) == 0:
		k.due.take(v)
		u := v.user
		u.devices = slices.DeleteFunc(u.devices, func(have *device) bool { return have == v })
		if len(u.devices) == 0 {
			delete(k.users, u.name)
		}
	case v.inFlight != nil:
		k.due.take(v)
	default:
		k.due.put(v)
	}
}

// Drop ends what is kept for a dialog.
func (k *Keeper) Drop(dialog uint64, r Result) []End {
	if o := k.lingering[dialog]; o != nil {
		k.forget(o)
		delete(k.lingering, dialog)
	}
	d := k.dialogs[dialog]
	if d == nil {
		return nil
	}
	return k.close(d, r, nil)
}
