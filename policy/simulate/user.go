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
	// lost are his subscriptions that the server has deleted, unproven those that
	// were renewed and have had no NOTIFY yet.
	lost, unproven uint16
	// gen numbers the dialogs of each subscription, for a new one has a Call-ID
	// of its own.
	gen [most]uint8
	// since is when the first NOTIFY was lost; 0 is never.
	since moment
	// off and onset say when the phone is switched off.
	off, onset moment
	// ticks is when his Tick is scheduled.
	ticks moment

	noted     bool // waits to be worked off
	frozen    bool // a hold keeps back what is to be done
	ahead     bool // goes on though its hop is held
	messaging bool // a MESSAGE is queued or in flight
	signing   bool // a de-REGISTER is queued or in flight
	gone      bool // signed out
	ignores   bool // takes no notice of the MESSAGE
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

// dead says whether the phone is switched off.
func (u *user) dead(now moment) bool { return now >= u.off && now < u.onset }

// broken says whether any of his subscriptions is not what it should be.
func (u *user) broken() bool { return u.lost|u.unproven != 0 }

// crowd has the watchers: what each is like, and the records of those in trouble.
type crowd struct {
	cfg     Config
	index   []int32 // of the record, plus 1
	records [][]user
	size    int32
}

// slab is how many records are made at a time.
const slab = 4096

func newCrowd(cfg Config) *crowd { return &crowd{cfg: cfg, index: make([]int32, cfg.Watchers)} }

// record returns the record of a watcher, which is made when he needs one.
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
	u.ignores = trait(c.cfg.Seed, who, saltIgnore) < c.cfg.Clients.Ignore
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

// subscriptions is how many a watcher has: geometric, so most have few.
func (c *crowd) subscriptions(who uint32) int {
	mean := c.cfg.Clients.Subscriptions
	if mean <= 1 {
		return 1
	}
	x := trait(c.cfg.Seed, who, saltSubscriptions)
	n := 1 + int(math.Log(1-x)/math.Log(1-1/mean))
	return min(n, most)
}

// mean is the mean number of subscriptions, which the cut at most makes smaller.
func (c *crowd) mean() float64 {
	sample := min(c.cfg.Watchers, 100_000)
	n := 0
	for who := range sample {
		n += c.subscriptions(uint32(who)) //nolint:gosec // mostWatchers
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

// broken is one subscription in an event of the policy.
func broken(sub, gen uint8) policy.Broken {
	return policy.Broken{
		Event: "presence", Resource: resources[sub], CallID: callIDs[gen], Cause: "408 Request Timeout",
	}
}
