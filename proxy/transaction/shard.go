package transaction

import (
	"bytes"
	"sync"
	"sync/atomic"
	"unsafe"

	"rewatch/proxy/resolve"
)

// entry is a transaction in its shard. It may be used for another transaction as soon as the
// lock of the shard is released: what is needed later is copied.
type entry struct {
	Transaction

	key uint64
	// text is the kept part of the request: all of it where it may have to be sent again,
	// else what an answer needs. Or it is the answer to its retransmissions.
	text []byte

	next, prev *entry
	deadline   Moment
	slot       int32
}

// shard is a part of the table with a lock of its own. Under that lock nothing is
// sent, nobody is called and no other lock is taken.
type shard struct {
	mu    sync.Mutex
	byKey map[uint64]*entry
	wheel wheel
	due   []*entry // room for those whose deadline has passed
	// Entries and buffers that are free. They stay in the shard and not in a
	// sync.Pool, which a garbage collection would empty at the worst time.
	free []*entry
	bufs [][]byte
	room int // of bufs, in bytes

	bytes *atomic.Int64 // of the table
}

const (
	// maxFree bounds the free entries of a shard, maxRoom its free buffers, in bytes, and
	// maxKeptRaw each of them.
	maxFree    = 4096
	maxRoom    = 2 << 20
	maxKeptRaw = 4096
	// roomyHops is how many further hops a free entry keeps room for.
	roomyHops = 4
)

// hopBytes is what a transaction takes for further hops, in bytes.
func (t *Transaction) hopBytes() int64 {
	return int64(cap(t.more.rest)) * int64(unsafe.Sizeof(resolve.Hop{}))
}

// add enters an empty transaction.
func (s *shard) add(key uint64) *entry {
	var r *entry
	if n := len(s.free); n > 0 {
		r, s.free = s.free[n-1], s.free[:n-1]
	} else {
		r = &entry{Transaction: Transaction{more: &noMore}}
	}
	r.key = key
	s.byKey[key] = r
	return r
}

// remove forgets r.
func (s *shard) remove(r *entry) {
	s.wheel.clear(r)
	delete(s.byKey, r.key)
	s.release(&r.text)
	s.bytes.Add(-r.hopBytes())
	if cap(r.more.rest) > roomyHops {
		r.more.rest = nil
	}
	r.empty()
	r.key, r.deadline = 0, 0
	if len(s.free) < maxFree {
		s.free = append(s.free, r)
	}
}

// settle carries out what a transition asks of the shard, and adds the kept bytes to its
// effect. status is that of the response, if there was one.
func (s *shard) settle(r *entry, now Now, before phase, status int, e *Effect) (gone bool) {
	e.Key = r.key
	if e.needsText(status) {
		e.Text = bytes.Clone(r.text)
	}
	if e.Do.Has(Forget) {
		s.remove(r)
		return true
	}
	// An INVITE that came by a connection is kept for the ACK of a failure that is repeated;
	// its answer is not needed again.
	if before == open && r.phase != open && (r.kind != Invite || !r.from.Reliable) {
		s.release(&r.text)
	}
	if due := r.due(now.Rules); due != r.deadline || r.slot == 0 {
		s.wheel.set(r, due)
	}
	return false
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
