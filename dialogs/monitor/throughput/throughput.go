// Package throughput counts the NOTIFYs that got a 2xx over each next hop, and the requests
// from each neighbour on the core side, and passes the sums on a few times a second.
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

// hopCount counts the 2xx of one next hop, or the requests from one neighbour.
type hopCount struct {
	hop netip.AddrPort
	got outage.Passes
}

// Counts are the counts of one shard since the last collection. The lock of the shard has to
// be held.
type Counts []hopCount

const (
	// Every is the time between two calls of Collect.
	Every = 200 * time.Millisecond
	// collectSoonest is how old the sums may be for CollectFor.
	collectSoonest = 5 * time.Millisecond
	// maxHopCounts bounds the hops of a shard. Further ones share one count, without an
	// address.
	maxHopCounts = 64
	// Budget is the memory of the Counts of 64 shards, at most, in bytes.
	Budget = 64 * maxHopCounts * int64(unsafe.Sizeof(hopCount{}))
)

// Add counts one 2xx, or one request, of a user (dialogs.UserID).
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

// Heard counts a request of a user that came from the core: the core is up.
func (p *Sums) Heard(msg *dialogs.Message, at time.Time, user string) {
	if !msg.Source.IsValid() {
		return
	}
	p.hearing.Lock()
	defer p.hearing.Unlock()
	p.sources.Add(msg.Source, at, dialogs.UserID(user))
}

// Sums adds up the Counts of all shards.
type Sums struct {
	drain func(take func(*Counts))
	rec   dialogs.Recovery

	mu        sync.Mutex
	sums      map[netip.AddrPort]outage.Passes // of one collection
	collected atomic.Int64                     // when the last one was
	// sources counts the requests from each neighbour, under hearing. spare takes its place
	// while they are passed on.
	hearing        sync.Mutex
	sources, spare Counts
}

// New makes Sums that are passed on to rec. drain calls take with the Counts of each shard,
// while it holds the lock of that shard.
func New(rec dialogs.Recovery, drain func(take func(*Counts))) *Sums {
	return &Sums{rec: rec, drain: drain, sums: make(map[netip.AddrPort]outage.Passes)}
}

// Collect passes on what was counted since the last time.
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

// CollectFor collects before a failure is judged. Of a burst of NOTIFYs a few fail at once;
// without the successes of the others it would seem that all of them failed.
func (p *Sums) CollectFor(at time.Time) {
	if at.UnixNano()-p.collected.Load() >= int64(collectSoonest) {
		p.Collect(at)
	}
}
