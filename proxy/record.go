package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"rewatch/dialogs"
)

// phase is how far a record has come.
type phase uint8

const (
	// open: no final response yet.
	open phase = iota
	// answered: the final response was passed on.
	answered
	// judged: we answered in the place of a response; a late one is told apart.
	judged
)

// record is one transaction of which something has to be remembered. Its fields
// are guarded by the lock of its shard.
type record struct {
	key    uint64
	phase  phase
	notify bool // a NOTIFY of the server: judged by the Monitor
	invite bool
	// absorb: retransmissions of the request end here, because it left by a stream.
	absorb bool
	// resend: retransmitting the request is ours (Timer A or E), because it came
	// by a stream and left by UDP.
	resend bool
	// proceeding: a provisional response came.
	proceeding bool
	// hundred: a 100 was sent upstream.
	hundred bool
	late    bool // a response after the verdict was told
	retried bool // sent once more on a fresh stream

	loop uint32

	cseq    uint32
	ref     dialogs.Ref
	from    flow
	stream  uint64 // the stream it left by, 0 for UDP
	hops    []hop  // candidates, the present one at hopAt; nil: only the first
	first   hop
	hopAt   int
	created time.Time
	// giveUp is the end of the transaction, nextHop when the next candidate is
	// tried, resendAt the next retransmission, interval the pause behind it.
	giveUp, nextHop, resendAt time.Time
	interval                  time.Duration

	// raw is the request as it came: all of it where it may have to be sent
	// again, else start line and headers (body is then where it was cut).
	raw []byte
	// answer is what retransmissions get, once there is one of ours.
	answer []byte

	deadline   time.Time
	slot       int32
	next, prev *record
}

func (r *record) hop() hop {
	if r.hops == nil {
		return r.first
	}
	return r.hops[r.hopAt]
}

// setHop changes the present hop.
func (r *record) setHop(h hop) {
	if r.hops == nil {
		r.first = h
		return
	}
	r.hops[r.hopAt] = h
}

// more tells whether there is another hop to try.
func (r *record) more() bool { return r.hopAt+1 < len(r.hops) }

const shardCount = 16

// table holds the records, by the hash that is also in our branch.
type table struct {
	shards [shardCount]shard
	limit  int64
	n      atomic.Int64
	pool   sync.Pool
}

type shard struct {
	mu    sync.Mutex
	byKey map[uint64]*record
	wheel wheel
}

func newTable(limit int) *table {
	t := &table{limit: int64(limit)}
	t.pool.New = func() any { return new(record) }
	for i := range t.shards {
		t.shards[i].byKey = make(map[uint64]*record)
	}
	return t
}

func (t *table) shard(key uint64) *shard { return &t.shards[key%shardCount] }

// len is the number of records.
func (t *table) len() int { return int(t.n.Load()) }

// get makes an empty record; it is not in the table yet. Its buffers are those
// of an earlier one.
func (t *table) get() *record {
	r := t.pool.Get().(*record) //nolint:forcetypeassert // the pool holds nothing else
	*r = record{raw: r.raw[:0], answer: r.answer[:0]}
	return r
}

// full tells whether a further record would pass the limit.
func (t *table) full() bool { return t.n.Load() >= t.limit }

// insert enters r under its key; false if there is one already.
func (t *table) insert(r *record, deadline time.Time) bool {
	s := t.shard(r.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[r.key] != nil {
		return false
	}
	s.byKey[r.key] = r
	s.wheel.set(r, deadline)
	t.n.Add(1)
	return true
}

// remove forgets r; the caller holds the lock of its shard.
func (t *table) remove(s *shard, r *record) {
	s.wheel.clear(r)
	delete(s.byKey, r.key)
	t.n.Add(-1)
	if cap(r.raw) <= maxKeptRaw {
		t.pool.Put(r)
	}
}

// onStream lists the open records whose request left by a stream.
func (t *table) onStream(id uint64) (keys []uint64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for key, r := range s.byKey {
			if r.stream == id && r.phase == open {
				keys = append(keys, key)
			}
		}
		s.mu.Unlock()
	}
	return keys
}

// opened counts the open records that are older than t.
func (t *table) opened(before time.Time) (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, r := range s.byKey {
			if r.phase == open && r.created.Before(before) {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// setStream notes the stream that a record's request left by.
func (t *table) setStream(key, stream uint64) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.byKey[key]; r != nil {
		r.stream = stream
	}
}

// maxKeptRaw bounds the buffer that a record keeps for the next one.
const maxKeptRaw = 4096
