package monitor

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rewatch/dialogs"
)

// What got through, over which hop. A 2xx is counted under the lock of its shard,
// which it holds anyway; the sums are handed on a few times a second.

// hopCount counts the NOTIFYs that got through over one next hop.
type hopCount struct {
	hop netip.AddrPort
	n   int
}

const (
	collectEvery = 200 * time.Millisecond
	// collectSoonest is how long a collection lasts for the failures that ask for
	// one.
	collectSoonest = 5 * time.Millisecond
	// maxHopCounts bounds the hops of a shard in one collection. What passes over
	// further ones counts for all hops together.
	maxHopCounts = 64
)

// through counts one 2xx; the shard is locked.
func (sh *subShard) through(hop netip.AddrPort) {
	for i := range sh.hops {
		if sh.hops[i].hop == hop {
			sh.hops[i].n++
			return
		}
	}
	if len(sh.hops) == maxHopCounts {
		sh.hops[0].hop = netip.AddrPort{}
		sh.hops[0].n++
		return
	}
	sh.hops = append(sh.hops, hopCount{hop, 1})
}

// throughput adds up what passed over each next hop.
type throughput struct {
	table *Table
	rec   dialogs.Recovery

	mu        sync.Mutex
	sums      map[netip.AddrPort]int // since they were told
	collected atomic.Int64           // when that was
}

// collect hands on what has passed since the last time.
func (p *throughput) collect(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.collected.Store(now.UnixNano())
	for i := range p.table.subs {
		sh := &p.table.subs[i]
		sh.mu.Lock()
		for _, c := range sh.hops {
			p.sums[c.hop] += c.n
		}
		sh.hops = sh.hops[:0]
		sh.mu.Unlock()
	}
	for hop, n := range p.sums {
		p.rec.Passed(now, hop, n)
	}
	clear(p.sums)
}

// collectFor brings the sums up to date before a failure is judged by them. In a
// burst of NOTIFYs a few fail at once; without the others they would look like
// all of them.
func (p *throughput) collectFor(at time.Time) {
	if at.UnixNano()-p.collected.Load() >= int64(collectSoonest) {
		p.collect(at)
	}
}
