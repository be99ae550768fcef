package monitor

import (
	"net/netip"
	"sync"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/monitor/ident"
	"rewatch/dialogs/monitor/slab"
	"rewatch/dialogs/monitor/throughput"
)

// subShard has the subscriptions of some of the Call-IDs.
type subShard struct {
	mu sync.Mutex
	// chains leads from the hash of a Call-ID to the first of its subscriptions;
	// of pointers there is one string in each slot.
	chains slab.Index
	subs   slab.Slab[subscription]
	number uint32 // of this shard
	// waiting and heads are what few subscriptions have, by slot.
	waiting map[uint32]waiting
	heads   map[uint32][]byte
	// unannounced are the failures whose answer is on its way to the server.
	unannounced map[failureKey]failure
	// lost are those for which an earlier process had kept something.
	lost  []dialogs.Ref
	notes subNotes
	// hops has those that passed since they were collected, by next hop.
	hops    throughput.Counts
	endings endings

	_ [52]byte // a cache line of its own
}

// A Ref is the place of a subscription and the generation of that place, so
// that one that outlives its subscription finds nothing: 32 bits generation,
// 26 bits slot, 6 bits shard.
const (
	shardBits = 6
	slotBits  = 26
	shards    = 1 << shardBits
	maxSlots  = 1 << slotBits
)

func makeRef(shard, slot, generation uint32) dialogs.Ref {
	return dialogs.Ref(uint64(generation)<<32 | uint64(slot)<<shardBits | uint64(shard))
}

func shardOf(r dialogs.Ref) uint32      { return uint32(r & (shards - 1)) }
func slotOf(r dialogs.Ref) uint32       { return uint32(r >> shardBits & (maxSlots - 1)) }
func generationOf(r dialogs.Ref) uint32 { return uint32(r >> 32) }

// maxChain bounds the subscriptions of one Call-ID: forks times packages. A
// peer that gives all its dialogs one Call-ID must not make a shard slow.
const maxChain = 64

// find gives the slot of exactly one ID, or 0. It goes by the hashes alone, 96 bits
// in all under seeds that nobody knows: to compare the texts would cost another
// miss of the caches, and tell nothing new before the end of days.
func (sh *subShard) find(hash, identity uint64) uint32 {
	for slot := sh.chains.Get(slab.TagOf(hash)); slot != 0; {
		s := sh.subs.At(slot)
		if s.identity == identity && s.tag == slab.TagOf(hash) {
			return slot
		}
		slot = s.next
	}
	return 0
}

// first gives the first slot of a Call-ID that fits, or 0.
func (sh *subShard) first(hash uint64, fits func(*subscription) bool) uint32 {
	for slot := sh.chains.Get(slab.TagOf(hash)); slot != 0; {
		s := sh.subs.At(slot)
		if fits(s) {
			return slot
		}
		slot = s.next
	}
	return 0
}

// lookup gives the subscription of a Ref, or nil if it is gone.
func (sh *subShard) lookup(ref dialogs.Ref) (*subscription, uint32) {
	slot := slotOf(ref)
	if slot == 0 || slot > sh.subs.Slots() {
		return nil, 0
	}
	s := sh.subs.At(slot)
	if s.generation != generationOf(ref) {
		return nil, 0
	}
	return s, slot
}

// put copies a new subscription into a slot, with a generation that no earlier one had, and
// links it into its chain.
func (sh *subShard) put(s *subscription) (uint32, untracked) {
	length := 0
	for slot := sh.chains.Get(s.tag); slot != 0; slot = sh.subs.At(slot).next {
		length++
	}
	if length >= maxChain {
		return 0, untrackedForks
	}
	if sh.subs.Count() == maxSlots-1 {
		return 0, untrackedFull
	}
	slot := sh.subs.Take()
	place := sh.subs.At(slot)
	s.generation = max(place.generation, 1)
	s.next = sh.chains.Get(s.tag)
	*place = *s
	sh.chains.Set(s.tag, slot)
	return slot, tracked
}

// drop unlinks a subscription and gives its slot free.
func (sh *subShard) drop(slot uint32) {
	s := sh.subs.At(slot)
	slab.Unchain(&sh.chains, &sh.subs, s.tag, slot, (*subscription).link)
	*s = subscription{generation: s.generation + 1}
	sh.subs.Give(slot)
}

// ofCalls are the event packages of a call's own dialog, and of NOTIFYs that nobody has
// subscribed to (REFER, RFC 3515; talk and hold; a conference's focus). In a dialog that
// no SUBSCRIBE is known to have made they are nobody's subscription.
var ofCalls = map[string]bool{
	"refer": true, "talk": true, "hold": true, "conference": true, "check-sync": true, "keep-alive": true,
}

// foreignUsage says whether an unknown ID is better left alone: its event package belongs to
// a call, and no SUBSCRIBE is known to have made its dialog.
func (sh *subShard) foreignUsage(hash uint64, id *ident.ID) bool {
	return ofCalls[string(id.Package)] && sh.first(hash, func(s *subscription) bool {
		return s.callID() == string(id.CallID) && s.watcherTag() == string(id.WatcherTag) && s.notifierTag() == string(id.NotifierTag) &&
			ident.PackageOf(s.event()) == string(id.Package)
	}) == 0
}

// through counts one 2xx; the shard is locked.
func (sh *subShard) through(hop netip.AddrPort, at time.Time, user uint32) {
	sh.hops.Add(hop, at, uint64(user))
}

// drain gives what passed over each next hop, shard by shard.
func (t *Table) drain(take func(*throughput.Counts)) {
	for i := range t.subs {
		sh := &t.subs[i]
		sh.mu.Lock()
		take(&sh.hops)
		sh.mu.Unlock()
	}
}

// endings are the subscriptions whose end was said lately, by a NOTIFY or upon a refresh:
// some servers send one more NOTIFY behind their last word, and what becomes of that is
// nobody's failure. Each is in the place that its hash gives it, and of two in one place
// the later is known.
type endings [64]struct {
	identity uint64
	until    int64
}

func (e *endings) note(s *subscription, until time.Time) {
	place := &e[s.identity%uint64(len(e))]
	place.identity, place.until = s.identity, until.UnixNano()
}

func (e *endings) has(identity uint64, at time.Time) bool {
	place := &e[identity%uint64(len(e))]
	return place.identity == identity && at.UnixNano() < place.until
}
