package proxy

import (
	"sync"
	"sync/atomic"
)

const shardCount = 16

// table holds the records, by the hash that is also in our branch.
type table struct {
	shards [shardCount]shard
	limit  int64
	n      atomic.Int64
	// bytes is what the records have of their messages. It has a limit too, for
	// large messages would make the other one mean little.
	bytes    atomic.Int64
	maxBytes int64
	// filled is signalled when the table is empty no more.
	filled chan struct{}
}

// shard is a part of the table with a lock of its own. Under that lock nothing is
// sent, nobody is called and no other lock but a memo's is taken.
type shard struct {
	mu    sync.Mutex
	byKey map[uint64]*record
	wheel wheel
	// Records and buffers that are free. They stay in the shard and not in a
	// sync.Pool, which a garbage collection would empty at the worst time.
	free []*record
	bufs [][]byte
	room int // of bufs, in bytes

	bytes *atomic.Int64 // of the table
}

const (
	// maxFree bounds the records that a shard keeps for later, maxRoom the buffers,
	// in bytes, and maxKeptRaw each of them.
	maxFree    = 4096
	maxRoom    = 2 << 20
	maxKeptRaw = 4096
	// bytesEach is what a record may have of its message, on average of all, and
	// leastBytes what all of them may have in any case.
	bytesEach  = 2 << 10
	leastBytes = 1 << 20
)

func newTable(limit int) *table {
	t := &table{limit: int64(limit), filled: make(chan struct{}, 1)}
	t.maxBytes = max(leastBytes, t.limit*bytesEach)
	for i := range t.shards {
		t.shards[i].byKey = make(map[uint64]*record)
		t.shards[i].bytes = &t.bytes
	}
	return t
}

func (t *table) shard(key uint64) *shard { return &t.shards[key%shardCount] }

// lock gives the shard of a key, locked, and the record under it, if there is one.
func (t *table) lock(key uint64) (*shard, *record) {
	s := t.shard(key)
	s.mu.Lock()
	return s, s.byKey[key]
}

// len is the number of records.
func (t *table) len() int { return int(t.n.Load()) }

// full tells whether a further record would pass a limit.
func (t *table) full() bool { return t.n.Load() >= t.limit || t.bytes.Load() >= t.maxBytes }

// reserved tells whether the room that is left, the last quarter, is for those who
// have to have it: NOTIFYs above all, whose failures would not be seen.
func (t *table) reserved() bool {
	return t.n.Load() >= t.limit-t.limit/4 || t.bytes.Load() >= t.maxBytes-t.maxBytes/4
}

// scarce tells whether the last of that room is for NOTIFYs alone.
func (t *table) scarce() bool {
	return t.n.Load() >= t.limit-t.limit/8 || t.bytes.Load() >= t.maxBytes-t.maxBytes/8
}

// crowded tells whether it is time to forget what is only nice to remember.
func (t *table) crowded() bool { return t.n.Load() >= t.limit/2 }

// add enters an empty record; the caller holds the lock of the shard.
func (t *table) add(s *shard, key uint64) *record {
	var r *record
	if n := len(s.free); n > 0 {
		r, s.free = s.free[n-1], s.free[:n-1]
	} else {
		r = &record{more: &nothing}
	}
	r.key = key
	s.byKey[key] = r
	if t.n.Add(1) == 1 {
		select {
		case t.filled <- struct{}{}:
		default:
		}
	}
	return r
}

// remove forgets r; the caller holds the lock of its shard.
func (t *table) remove(s *shard, r *record) {
	s.wheel.clear(r)
	delete(s.byKey, r.key)
	t.n.Add(-1)
	s.release(&r.text)
	r.empty()
	if len(s.free) < maxFree {
		s.free = append(s.free, r)
	}
}

// keep copies b into a buffer of the shard's.
func (s *shard) keep(buf *[]byte, b []byte) {
	before := cap(*buf)
	if n := len(s.bufs); *buf == nil && n > 0 {
		*buf, s.bufs = s.bufs[n-1], s.bufs[:n-1]
		s.room -= cap(*buf)
	}
	*buf = append((*buf)[:0], b...)
	s.bytes.Add(int64(cap(*buf) - before))
}

// release takes a buffer back.
func (s *shard) release(buf *[]byte) {
	size := cap(*buf)
	if size > 0 && size <= maxKeptRaw && s.room+size <= maxRoom {
		s.bufs = append(s.bufs, (*buf)[:0])
		s.room += size
	}
	s.bytes.Add(-int64(size))
	*buf = nil
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

// opened counts the open records that are older than a moment.
func (t *table) opened(before moment) (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, r := range s.byKey {
			if r.phase == open && r.created < before {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// keepAnswer stores what retransmissions of a request get.
func (t *table) keepAnswer(key uint64, b []byte) {
	s, r := t.lock(key)
	defer s.mu.Unlock()
	if r != nil && r.phase != open {
		s.keep(&r.text, b)
	}
}

// setStream notes the stream that a record's request left by.
func (t *table) setStream(key, stream uint64) {
	s, r := t.lock(key)
	defer s.mu.Unlock()
	if r != nil {
		r.stream = stream
	}
}
