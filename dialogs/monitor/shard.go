package monitor

import (
	"iter"
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
	// chains leads from the hash of a Call-ID to the first of its subscriptions.
	chains slab.Index
	subs   slab.Slab[subscription]
	number uint32 // of this shard
	// waiting and heads, by slot, are data that few subscriptions have.
	waiting map[uint32]waiting
	heads   map[uint32][]byte
	// unannounced are the failures that the Engine is told after the response to the server.
	unannounced map[failureKey]failure
	// lost are the subscriptions for which an earlier process had kept NOTIFYs.
	lost  []dialogs.Ref
	notes subNotes
	// hops counts the 2xx since the last collection, by next hop.
	hops    throughput.Counts
	endings endings

	_ [52]byte // fills the last cache line: shards share none
}

// A Ref has the place of a subscription and the generation of that place: 32 bits
// generation, 26 bits slot, 6 bits shard. The generation changes when the subscription is
// removed, so that an old Ref finds nothing.
const (
	shardBits = 6
	slotBits  = 26
	shards    = 1 << shardBits
	maxSlots  = 1 << slotBits
)

// ref gives the Ref of the subscription in a slot.
func (sh *subShard) ref(slot uint32) dialogs.Ref {
	generation := sh.subs.At(slot).generation
	return dialogs.Ref(uint64(generation)<<32 | uint64(slot)<<shardBits | uint64(sh.number))
}

func shardOf(r dialogs.Ref) uint32      { return uint32(r & (shards - 1)) }
func slotOf(r dialogs.Ref) uint32       { return uint32(r >> shardBits & (maxSlots - 1)) }
func generationOf(r dialogs.Ref) uint32 { return uint32(r >> 32) }

// maxChain bounds the subscriptions of one Call-ID (forks times event packages): a peer that
// gives all its dialogs one Call-ID must not make a shard slow.
const maxChain = 64

// find gives the slot of an ID, or 0. It compares hashes alone, 96 bits under random seeds: to
// compare the texts would cost another cache miss.
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

// first gives the first slot with a Call-ID that fits accepts, or 0.
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

// lookup gives the subscription of a Ref, or nil if it was removed.
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

// put copies a new subscription into a slot and links it into its chain.
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

// drop unlinks a subscription and frees its slot.
func (sh *subShard) drop(slot uint32) {
	s := sh.subs.At(slot)
	slab.Unchain(&sh.chains, &sh.subs, s.tag, slot, (*subscription).link)
	*s = subscription{generation: s.generation + 1}
	sh.subs.Give(slot)
}

// ofCalls are event packages whose NOTIFYs may come in the dialog of a call, without any
// SUBSCRIBE (REFER, RFC 3515; talk and hold; conference).
var ofCalls = map[string]bool{
	"refer": true, "talk": true, "hold": true, "conference": true, "check-sync": true, "keep-alive": true,
}

// foreignUsage says whether an unknown ID is not a subscription: its event package is one of
// a call, and no SUBSCRIBE is known for its dialog.
func (sh *subShard) foreignUsage(hash uint64, id *ident.ID) bool {
	return ofCalls[string(id.Package)] && sh.first(hash, func(s *subscription) bool {
		return s.callID() == string(id.CallID) && s.watcherTag() == string(id.WatcherTag) && s.notifierTag() == string(id.NotifierTag) &&
			ident.PackageOf(s.event()) == string(id.Package)
	}) == 0
}

// usages walks over the other subscriptions in the dialog of one (RFC 5057).
func (sh *subShard) usages(slot uint32) iter.Seq2[uint32, *subscription] {
	return func(yield func(uint32, *subscription) bool) {
		s := sh.subs.At(slot)
		for other := sh.chains.Get(s.tag); other != 0; other = sh.subs.At(other).next {
			if o := sh.subs.At(other); other != slot && o.sharesDialog(s) && !yield(other, o) {
				return
			}
		}
	}
}

// keptBeside says whether NOTIFYs of another subscription in the same dialog are kept.
func (sh *subShard) keptBeside(slot uint32) bool {
	for _, other := range sh.usages(slot) {
		if other.undelivered && other.goesOn() {
			return true
		}
	}
	return false
}

// stopWaiting ends the wait after a temporary failure, if there is one.
func (sh *subShard) stopWaiting(slot uint32) {
	if s := sh.subs.At(slot); s.waiting {
		s.waiting = false
		delete(sh.waiting, slot)
	}
}

// drain calls take with the counts of each shard, whose lock is held.
func (t *Table) drain(take func(*throughput.Counts)) {
	for i := range t.subs {
		sh := &t.subs[i]
		sh.mu.Lock()
		take(&sh.hops)
		sh.mu.Unlock()
	}
}

// declined says whether the client has refused a further dialog of a SUBSCRIBE that was
// forked (RFC 6665 5.4.9): a NOTIFY of another of them has got through, and none of this one.
func (sh *subShard) declined(s *subscription, o *dialogs.Outcome) bool {
	if s.proven || s.birth == 0 || o.Kind != dialogs.Responded || o.Status != goneStatus {
		return false
	}
	for slot := sh.chains.Get(s.tag); slot != 0; {
		other := sh.subs.At(slot)
		if other.birth == s.birth && other.proven && other.phase == active && other.notifierTag() != s.notifierTag() {
			return true
		}
		slot = other.next
	}
	return false
}

// endings are subscriptions that a NOTIFY or the response to a refresh has ended lately, and,
// without a notifier tag, those whose initial SUBSCRIBE was refused. Some servers send one more
// NOTIFY after the one that says terminated; its outcome is no failure.
// The hash of a subscription gives its place; a later one in the same place replaces it.
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
