package simulate

import (
	"fmt"
	"math"

	"rewatch/policy"
)

// most is how many subscriptions a watcher has at most.
const most = 16

// user is the record of a watcher in trouble.
type user struct {
	state *policy.State // &quiet if there is nothing to remember
	id    uint32
	// lost are its subscriptions that the server has deleted, unproven those that
	// were renewed and have had no NOTIFY yet.
	// missing are those that the server has, and whose newest NOTIFY is kept for the phone.
	lost, unproven, missing uint16
	// gen numbers the dialogs of each subscription, for a new one has a Call-ID
	// of its own.
	gen [most]uint8
	// since is when the first NOTIFY was lost; 0 is never.
	since moment
	// off and onset say when devices are switched off, down which (see device).
	off, onset moment
	// due is when the client has refreshed everything that is lost.
	due moment
	// ticks is when its Tick is scheduled.
	ticks moment

	noted     bool // waits to be worked off
	frozen    bool // a hold keeps back what is to be done
	ahead     bool // goes on though its hop is held
	messaging bool // a MESSAGE is queued or in flight
	signing   bool // a de-REGISTER is queued or in flight
	kind      Kind // what its client does upon a MESSAGE
	twin      bool // has two devices
	// down, gone and parting are the devices that are switched off from off to onset,
	// that are signed out, and whose sign-out is queued or under way: a bit for each.
	down, gone, parting uint8
	moves               uint8 // how often it has moved to another hop
	moving              bool  // it moves when it is switched on
	quit                bool  // its client has lost the subscriptions for good
}

// Kind is what a client does when it is told.
type Kind uint8

const (
	// Obeys: it subscribes anew upon the MESSAGE.
	Obeys Kind = iota
	// Deaf: it takes no notice of the MESSAGE.
	Deaf
	// Lost: nor does it, and a terminating NOTIFY ends its subscription for good.
	Lost
	kinds
)

// device is the bit of the device that has a subscription.
func (u *user) device(sub uint8) uint8 {
	if u.twin {
		return 1 << (sub & 1)
	}
	return 1
}

// devices are the bits of all.
func (u *user) devices() uint8 {
	if u.twin {
		return 3
	}
	return 1
}

// deviceNames are the names of the devices, by bit.
var deviceNames = [...]string{1: "urn:uuid:first", 2: "urn:uuid:second"}

// away are the devices that are switched off now.
func (u *user) away(now moment) uint8 {
	if now >= u.off && now < u.onset {
		return u.down
	}
	return 0
}

// quiet is the state of all of whom nothing is known; it is never written to.
var quiet policy.State

// remember replaces the state of a watcher.
func (u *user) remember(s policy.State) {
	switch {
	case s.Forgettable():
		u.state = &quiet
	case u.state == &quiet:
		u.state = &s
	default:
		*u.state = s
	}
}

// dead says whether all of the user's devices are switched off.
func (u *user) dead(now moment) bool { return u.away(now) == u.devices() }

// broken says whether any of its subscriptions is not what it should be.
func (u *user) broken() bool { return u.lost|u.unproven|u.missing != 0 }

// crowd has the watchers: what each is like, and the records of those in trouble.
type crowd struct {
	cfg     Config
	index   []int32 // of the record, plus 1
	counts  []uint8 // how many subscriptions each watcher has
	records [][]user
	size    int32
}

// slab is how many records are made at a time.
const slab = 4096

func newCrowd(cfg Config) *crowd {
	c := &crowd{cfg: cfg, index: make([]int32, cfg.Watchers), counts: make([]uint8, cfg.Watchers)}
	for who := range c.counts {
		c.counts[who] = subscriptionsOf(cfg, uint32(who)) //nolint:gosec // mostWatchers
	}
	return c
}

// record returns the record of a watcher, which is made when it needs one.
func (c *crowd) record(who uint32) *user {
	if i := c.index[who] - 1; i >= 0 {
		return &c.records[i/slab][i%slab]
	}
	i := c.size
	if i%slab == 0 {
		c.records = append(c.records, make([]user, slab))
	}
	c.size++
	c.index[who] = c.size
	u := &c.records[i/slab][i%slab]
	u.id, u.state = who, &quiet
	switch x := trait(c.cfg.Seed, who, saltIgnore); {
	case x < c.cfg.Clients.Lost:
		u.kind = Lost
	case x < c.cfg.Clients.Lost+c.cfg.Clients.Ignore:
		u.kind = Deaf
	}
	u.twin = c.subscriptions(who) > 1 && trait(c.cfg.Seed, who, saltTwin) < c.cfg.Clients.Twins
	return u
}

// struck counts those who have MESSAGEs on their count.
func (c *crowd) struck() int {
	n := 0
	for i := range c.size {
		if c.records[i/slab][i%slab].state.Sent > 0 {
			n++
		}
	}
	return n
}

// subscriptionsOf draws how many subscriptions a watcher has, by a geometric distribution, so
// that most have few.
func subscriptionsOf(cfg Config, who uint32) uint8 {
	mean := cfg.Clients.Subscriptions
	if mean <= 1 {
		return 1
	}
	x := trait(cfg.Seed, who, saltSubscriptions)
	n := 1 + int(math.Log(1-x)/math.Log(1-1/mean))
	return uint8(min(n, most)) //nolint:gosec // most
}

func (c *crowd) subscriptions(who uint32) int { return int(c.counts[who]) }

// mean is the mean number of subscriptions, which the cut at most makes smaller.
func (c *crowd) mean() float64 {
	sample := min(c.cfg.Watchers, 100_000)
	n := 0
	for who := range sample {
		n += int(c.counts[who])
	}
	return float64(n) / float64(sample)
}

// Watchers are dealt out to hops and replicas like cards.
func (c *crowd) hop(who uint32) int     { return int(who) % c.cfg.Hops }
func (c *crowd) replica(who uint32) int { return int(who) / c.cfg.Hops % c.cfg.Replicas }

// pick draws one subscription of those behind a hop and a replica, each as likely
// as the other.
func (c *crowd) pick(d dice, hop, replica int) (uint32, uint8, bool) {
	deck := c.cfg.Hops * c.cfg.Replicas
	first := replica*c.cfg.Hops + hop
	cards := (c.cfg.Watchers - first + deck - 1) / deck
	if cards <= 0 {
		return 0, 0, false
	}
	for {
		who := uint32(first + deck*d.IntN(cards)) //nolint:gosec // mostWatchers
		if sub := d.IntN(most); sub < c.subscriptions(who) {
			return who, uint8(sub), true //nolint:gosec // most
		}
	}
}

// The words in the events are made once, for millions of records point to them.
var (
	resources [most]string
	callIDs   [256]string
)

func init() {
	for i := range resources {
		resources[i] = fmt.Sprintf("sip:buddy-%d@ims.example", i)
	}
	for i := range callIDs {
		callIDs[i] = fmt.Sprint("call-", i)
	}
}

// lostOne is one subscription in an event of the policy.
func (u *user) lostOne(sub, gen uint8) policy.Broken {
	return policy.Broken{
		Event: "presence", Resource: resources[sub], CallID: callIDs[gen], Cause: "408 Request Timeout",
		Device: deviceNames[u.device(sub)], Due: u.due.time(),
	}
}
