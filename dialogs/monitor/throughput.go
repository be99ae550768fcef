package monitor

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rewatch/dialogs"
	"rewatch/policy/outage"
)

// What got through, over which hop. A 2xx is counted under the lock of its shard,
// which it holds anyway; the sums are handed on a few times a second. So are the requests
// that come from the core, for they show that it is there.

// hopCount counts the NOTIFYs that got through over one next hop, or the requests that
// came from one.
type hopCount struct {
	hop netip.AddrPort
	got outage.Passes
}

// hopCounts are those of one collection.
type hopCounts []hopCount

const (
	collectEvery = 200 * time.Millisecond
	// collectSoonest is how long a collection lasts for the failures that ask for
	// one.
	collectSoonest = 5 * time.Millisecond
	// maxHopCounts bounds the hops of a shard in one collection. What passes over
	// further ones counts for a hop that is not known.
	maxHopCounts = 64
)

// add counts one of a user.
func (c *hopCounts) add(hop netip.AddrPort, at time.Time, user uint64) {
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

// through counts one 2xx; the shard is locked.
func (sh *subShard) through(hop netip.AddrPort, at time.Time, watcher string) {
	sh.hops.add(hop, at, dialogs.UserID(watcher))
}

// heard counts a request of a user that came from the core.
func (p *throughput) heard(msg *dialogs.Message, at time.Time, user string) {
	if !msg.Source.IsValid() {
		return
	}
	p.hearing.Lock()
	defer p.hearing.Unlock()
	p.sources.add(msg.Source, at, dialogs.UserID(user))
}

// throughput adds up what passed over each next hop.
type throughput struct {
	table *Table
	rec   dialogs.Recovery

	mu        sync.Mutex
	sums      map[netip.AddrPort]outage.Passes // since they were told
	collected atomic.Int64                     // when that was
	// sources adds up the requests that came from each neighbour, under hearing. spare
	// is what takes its place.
	hearing        sync.Mutex
	sources, spare hopCounts
}

// collect hands on what has passed since the last time.
func (p *throughput) collect(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.collected.Store(now.UnixNano())
	for i := range p.table.subs {
		sh := &p.table.subs[i]
		sh.mu.Lock()
		for j := range sh.hops {
			c := &sh.hops[j]
			sum := p.sums[c.hop]
			sum.Join(&c.got)
			p.sums[c.hop] = sum
		}
		sh.hops = sh.hops[:0]
		sh.mu.Unlock()
	}
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

// collectFor brings the sums up to date before a failure is judged by them. In a
// burst of NOTIFYs a few fail at once; without the others they would look like
// all of them.
func (p *throughput) collectFor(at time.Time) {
	if at.UnixNano()-p.collected.Load() >= int64(collectSoonest) {
		p.collect(at)
	}
}
