package monitor

import (
	"sync/atomic"
	"unsafe"

	"rewatch/dialogs/agent"
	"rewatch/dialogs/monitor/slab"
	"rewatch/dialogs/monitor/throughput"
)

// A bound on the number of subscriptions bounds no memory where a peer chooses how long its
// names are. So the texts of all subscriptions and registrations together are bounded as
// well. A common subscription takes a third of its share.
const (
	textsEach  = 512 // bytes, for each of MaxSubscriptions
	leastTexts = 1 << 20
	// leastPending is how many SUBSCRIBEs may wait for their answer in any case.
	leastPending = 1024
)

// room counts what a Table keeps, and knows how much more it may.
type room struct {
	most       int64              // subscriptions, and by itself registrations
	records    atomic.Int64       // subscriptions in the slabs, of any phase
	live       atomic.Int64       // those that are active
	agents     agent.Table[int64] // the same, by the client's software
	pending    atomic.Int64       // those that are requested
	texts      atomic.Int64       // bytes of the texts that are kept
	registered atomic.Int64
	heads      atomic.Int64
	// Tight is set while memory is short: the table is full then.
	Tight atomic.Bool
}

// Clients is how many subscriptions are active, by the family of the clients' software.
func (r *room) Clients() map[string]int64 { return r.agents.All() }

// takeTexts takes room for the texts of one more identity of a registered user.
func (r *room) takeTexts(bytes int) bool {
	if r.registered.Load() >= r.most || r.textsFull(bytes) {
		return false
	}
	r.texts.Add(int64(bytes))
	return true
}

// textsFull says whether there is no room for that many more bytes of text.
func (r *room) textsFull(more int) bool {
	return more > 0 && r.Tight.Load() || r.texts.Load()+int64(more) > max(leastTexts, textsEach*r.most)
}

// rewrite changes one of the texts of a subscription that has its place.
func (r *room) rewrite(s *subscription, i int, with []byte) {
	before := len(s.text)
	s.replace(i, with)
	r.texts.Add(int64(len(s.text) - before))
}

// unconfirmed tells whether too many SUBSCRIBEs have neither been answered nor led
// to a NOTIFY. They may have a quarter of the room, so that a flood of them leaves
// the rest to subscriptions that exist: such a one is taken up with its first
// NOTIFY.
func (r *room) unconfirmed() bool {
	return r.pending.Load() >= max(leastPending, r.most/4)
}

// enter and exit count a subscription by its phase: once before the phase changes, once after.
func (r *room) enter(s *subscription) { r.count(s, 1) }

func (r *room) exit(s *subscription) { r.count(s, -1) }

func (r *room) count(s *subscription, n int64) {
	switch s.phase {
	case requested:
		r.pending.Add(n)
	case active:
		r.live.Add(n)
		r.agents.Change(s.agent(), func(live *int64) { *live += n })
	case ending, dead:
	}
}

const (
	// BytesEach is what a subscription and a registration take beside their texts, at most,
	// with their users, their places in indexes and lists, and a temporary failure.
	BytesEach = 1000
	bytesOf   = 700 // of them the subscription
	// perNote is what it takes that the Journal is to forget something, perHop what has
	// passed over a hop since it was collected.
	perNote = 64
)

// Budget is the memory that a Table takes at most, in bytes: for subscriptions and
// registrations, and beside them.
func Budget(cfg Config) (records, others int64) {
	texts := max(leastTexts, textsEach*int64(cfg.MaxSubscriptions))
	others = shards*(2*maxGone*perNote+firstChunks) + throughput.Budget
	if cfg.SignalNotify {
		others += maxHeads * maxHead
	}
	return BytesEach*int64(cfg.MaxSubscriptions) + rounded(texts), others
}

// rounded is the memory of texts of that length: Go rounds up.
func rounded(texts int64) int64 { return texts + texts/8 }

// Usage is the memory that subscriptions and registrations take, in bytes.
func (r *room) Usage() int64 {
	return bytesOf*r.records.Load() + (BytesEach-bytesOf)*r.registered.Load() + rounded(r.texts.Load())
}

// firstChunks is what a shard takes that has one of each.
const firstChunks = int64(unsafe.Sizeof(subscription{})+unsafe.Sizeof(userRecord{})+unsafe.Sizeof(userNode{})+unsafe.Sizeof(thread{})) << slab.ChunkBits
