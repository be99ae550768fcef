package monitor

import (
	"sync/atomic"
	"unsafe"

	"rewatch/dialogs/agent"
	"rewatch/dialogs/monitor/slab"
	"rewatch/dialogs/monitor/throughput"
)

// The number of subscriptions does not bound the memory, for a peer chooses how long its
// names are. So the bytes of all texts together are bounded as well. A typical subscription
// uses a third of its share.
const (
	textsEach  = 512 // bytes for each of MaxSubscriptions
	leastTexts = 1 << 20
	// leastPending is how many SUBSCRIBEs may be unanswered in any case.
	leastPending = 1024
)

// room counts what a Table keeps, and says whether there is room for more.
type room struct {
	most       int64              // bound of the subscriptions, and of the registrations
	records    atomic.Int64       // subscriptions, of any phase
	live       atomic.Int64       // active subscriptions
	agents     agent.Table[int64] // active subscriptions by the client's software
	pending    atomic.Int64       // requested subscriptions
	texts      atomic.Int64       // bytes of all texts
	registered atomic.Int64       // registrations
	heads      atomic.Int64       // heads kept for Termination
	// Tight is set while memory is short: then there is no room.
	Tight atomic.Bool
}

// Clients is the number of active subscriptions by the family of the client's software.
func (r *room) Clients() map[string]int64 { return r.agents.All() }

// takeTexts takes room for the texts of one more identity of a registered user.
func (r *room) takeTexts(bytes int) bool {
	if r.registered.Load() >= r.most || r.textsFull(bytes) {
		return false
	}
	r.texts.Add(int64(bytes))
	return true
}

// textsFull says whether there is no room for more bytes of text.
func (r *room) textsFull(more int) bool {
	return more > 0 && r.Tight.Load() || r.texts.Load()+int64(more) > max(leastTexts, textsEach*r.most)
}

// rewrite changes one of the texts of a subscription in the Table.
func (r *room) rewrite(s *subscription, i int, with []byte) {
	before := len(s.text)
	s.replace(i, with)
	r.texts.Add(int64(len(s.text) - before))
}

// unconfirmed says whether too many SUBSCRIBEs have neither a response nor a NOTIFY. They may
// take a quarter of the room, so that a flood of them leaves the rest to real subscriptions,
// which are tracked from their first NOTIFY on.
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
	// BytesEach is the memory of a subscription and a registration without their texts, at
	// most: records, users, indexes, lists, and a temporary failure.
	BytesEach = 1000
	bytesOf   = 700 // of them the subscription
	// perNote is the memory of a note for the Journal without its text.
	perNote = 64
)

// Budget is the memory that a Table uses at most, in bytes: for subscriptions and
// registrations, and for everything else.
func Budget(cfg Config) (records, others int64) {
	texts := max(leastTexts, textsEach*int64(cfg.MaxSubscriptions))
	others = shards*(2*maxGone*perNote+firstChunks) + throughput.Budget
	if cfg.SignalNotify {
		others += maxHeads * maxHead
	}
	return BytesEach*int64(cfg.MaxSubscriptions) + rounded(texts), others
}

// rounded is the memory of texts: Go rounds the size of each string up.
func rounded(texts int64) int64 { return texts + texts/8 }

// Usage is the memory that subscriptions and registrations use, in bytes.
func (r *room) Usage() int64 {
	return bytesOf*r.records.Load() + (BytesEach-bytesOf)*r.registered.Load() + rounded(r.texts.Load())
}

// firstChunks is the memory of a shard's first chunks.
const firstChunks = int64(unsafe.Sizeof(subscription{})+unsafe.Sizeof(userRecord{})+unsafe.Sizeof(userNode{})+unsafe.Sizeof(thread{})) << slab.ChunkBits
