// Package throughput adds up what got through over each next hop, and the requests that
// came from each neighbour on the core side, and hands the sums on a few times a second.
package throughput

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"rewatch/dialogs"
	"rewatch/policy/outage"
)

// hopCount counts the NOTIFYs that got through over one next hop, or the requests that
// came from one.
type hopCount struct {
	hop netip.AddrPort
	got outage.Passes
}

// Counts are those of one shard in one collection. Whoever has the lock of the shard adds
// to them and drains them.
type Counts []hopCount

const (
	// Every is how often Collect is to be called.
	Every = 200 * time.Millisecond
	// collectSoonest is how long a collection lasts for the failures that ask for
	// one.
	collectSoonest = 5 * time.Millisecond
	// maxHopCounts bounds the hops of a shard in one collection. What passes over
	// further ones counts for a hop that is not known.
	maxHopCounts = 64
	// Budget is the memory that they take at most, in bytes, in 64 shards.
	Budget = 64 * maxHopCounts * int64(unsafe.Sizeof(hopCount{}))
)

// Add counts one of a user (dialogs.UserID).
func (c *Counts) Add(hop netip.AddrPort, at time.Time, user uint64) {
	for i := range *c {
		if (*c)[i].hop == hop {
			(*c)[i].got.Add(at, user)
			return
		}
	}
	if len(*c) == maxHopCounts {
		(*c)[0].hop = netip.AddrPort{}
		(*c)[0].got.Add(at, user)
		return
	}
	*c = append(*c, hopCount{hop: hop})
	(*c)[len(*c)-1].got.Add(at, user)
}

// Heard counts a request of a user that came from the core: it shows that the core is there.
func (p *Sums) Heard(msg *dialogs.Message, at time.Time, user string) {
	if !msg.Source.IsValid() {
		return
	}
	p.hearing.Lock()
	defer p.hearing.Unlock()
	p.sources.Add(msg.Source, at, dialogs.UserID(user))
}

// Sums adds up what passed over each next hop.
type Sums struct {
	drain func(take func(*Counts))
	rec   dialogs.Recovery

	mu        sync.Mutex
	sums      map[netip.AddrPort]outage.Passes // since they were told
	collected atomic.Int64                     // when that was
	// sources adds up the requests that came from each neighbour, under hearing. spare
	// is what takes its place.
	hearing        sync.Mutex
	sources, spare Counts
}

// New makes Sums that are handed on to rec. drain calls take with the Counts of each shard,
// while it holds the lock of that shard.
func New(rec dialogs.Recovery, drain func(take func(*Counts))) *Sums {
	return &Sums{rec: rec, drain: drain, sums: make(map[netip.AddrPort]outage.Passes)}
}

// Collect hands on what has passed since the last time.
func (p *Sums) Collect(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.collected.Store(now.UnixNano())
	p.drain(func(counts *Counts) {
		for i := range *counts {
			c := &(*counts)[i]
			sum := p.sums[c.hop]
			sum.Join(&c.got)
			p.sums[c.hop] = sum
		}
		*counts = (*counts)[:0]
	})
	for hop, got := range p.sums {
		p.rec.Passed(now, hop, got)
	}
	clear(p.sums)
	p.hearing.Lock()
	sources := p.sources
	p.sources = p.spare[:0]
	p.hearing.Unlock()
	for i := range sources {
		p.rec.Heard(now, sources[i].hop, sources[i].got)
	}
	p.spare = sources
}

// CollectFor brings the sums up to date before a failure is judged by them. In a
// burst of NOTIFYs a few fail at once; without the others they would look like
// all of them.
func (p *Sums) CollectFor(at time.Time) {
	if at.UnixNano()-p.collected.Load() >= int64(collectSoonest) {
		p.Collect(at)
	}
}
