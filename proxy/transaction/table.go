package transaction

import (
	"bytes"
	"sync/atomic"
	"unsafe"

	"rewatch/proxy/resolve"
)

// Shards is how many shards a Table has.
const Shards = 16

// Table holds the transactions, by the hash that is also in our branch.
type Table struct {
	rules  Rules
	shards [Shards]shard
	limit  int64
	n      atomic.Int64
	// bytes is the size of the kept messages and of further hops. It has a limit of its own,
	// because large messages would fill the memory before n reaches its limit.
	bytes    atomic.Int64
	maxBytes int64
	filled   chan struct{}
	// Tight is set while memory is short: the table counts as full then.
	Tight atomic.Bool
}

const (
	// bytesEach is how many bytes of its message a transaction may keep on average,
	// leastBytes how many all of them may keep in any case.
	bytesEach  = 2 << 10
	leastBytes = 1 << 20
	// perEntry is the memory of a transaction beside that, with its place in the map.
	perEntry = int64(unsafe.Sizeof(entry{})+unsafe.Sizeof(more{})) + 64
)

// Budget is the memory that a Table for so many transactions takes at most, in bytes.
func Budget(limit int) int64 {
	bytes := max(leastBytes, int64(limit)*bytesEach)
	free := min(int64(limit), Shards*maxFree)
	return bytes + bytes/8 + int64(limit)*perEntry + // Go rounds up
		free*roomyHops*int64(unsafe.Sizeof(resolve.Hop{})) + Shards*(maxRoom+int64(unsafe.Sizeof(wheel{})))
}

// NewTable makes a table for at most limit transactions.
func NewTable(limit int, rules Rules) *Table {
	t := &Table{rules: rules, limit: int64(limit), filled: make(chan struct{}, 1)}
	t.maxBytes = max(leastBytes, t.limit*bytesEach)
	for i := range t.shards {
		t.shards[i].byKey = make(map[uint64]*entry)
		t.shards[i].bytes = &t.bytes
	}
	return t
}

func (t *Table) shard(key uint64) *shard { return &t.shards[key%Shards] }

func (t *Table) now(at Moment) Now {
	return Now{At: at, Rules: &t.rules, Crowded: t.Crowded()}
}

// Begin adds a transaction; false: there is one with that key already. text is the part of the
// request to keep; it is copied.
func (t *Table) Begin(key uint64, at Moment, q *Request, text []byte) bool {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[key] != nil {
		return false
	}
	r := s.add(key)
	r.begin(t.now(at), q)
	s.bytes.Add(r.hopBytes())
	s.keep(&r.text, text)
	s.wheel.set(r, r.due(&t.rules))
	if t.n.Add(1) == 1 {
		select {
		case t.filled <- struct{}{}:
		default:
		}
	}
	return true
}

// look calls visit with the transaction of a key, if there is one. Its shard is locked
// meanwhile.
func (t *Table) look(key uint64, visit func(*shard, *entry)) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.byKey[key]; r != nil {
		visit(s, r)
	}
}

// apply applies an event to the transaction of a key, and gives what follows. status is that
// of the response, if the event is one.
func (t *Table) apply(key uint64, at Moment, status int, event func(*Transaction, Now) Effect) (e Effect) {
	t.look(key, func(s *shard, r *entry) { t.decide(s, r, t.now(at), status, event, &e) })
	return e
}

// decide lets a transaction decide what follows from an event, and carries out what concerns
// the table. The shard is locked.
func (t *Table) decide(s *shard, r *entry, now Now, status int, event func(*Transaction, Now) Effect, e *Effect) {
	before := r.phase
	*e = event(&r.Transaction, now)
	if s.settle(r, now, before, status, e) {
		t.n.Add(-1)
	}
}

// Respond tells a transaction of a response.
func (t *Table) Respond(key uint64, at Moment, q *Response) Effect {
	return t.apply(key, at, q.Status, func(r *Transaction, now Now) Effect { return r.respond(now, q) })
}

// Fail tells a transaction that sending has failed.
func (t *Table) Fail(key uint64, at Moment, f *Failure) Effect {
	return t.apply(key, at, 0, func(r *Transaction, now Now) Effect { return r.fail(now, f) })
}

// Release sends the CANCEL that is held under a key to where its INVITE was sent.
func (t *Table) Release(key uint64, at Moment, h resolve.Hop, attempt uint8) Effect {
	return t.apply(key, at, 0, func(r *Transaction, now Now) Effect { return r.release(now, h, attempt) })
}

// Close marks a transaction as one that rewatch has answered itself.
func (t *Table) Close(key uint64, at Moment) {
	t.apply(key, at, 0, func(r *Transaction, now Now) Effect { return r.shut(now, false) })
}

// CloseUnanswered is Close for a transaction that got no response, so that a late one is told.
// false: no such transaction is open.
func (t *Table) CloseUnanswered(key uint64, at Moment) (was bool) {
	t.apply(key, at, 0, func(r *Transaction, now Now) Effect {
		was = r.phase == open
		return r.shut(now, true)
	})
	return was
}

// Repeat tells a transaction of a retransmission. An answer to it is appended to buf.
func (t *Table) Repeat(key uint64, from Origin, buf []byte) (e Effect) {
	t.look(key, func(_ *shard, r *entry) {
		e = r.repeat(from)
		e.Key = key
		if e.Do.Has(Answer) {
			e.Text = append(buf, r.text...)
		}
	})
	return e
}

// Follow tells where the ACK or the CANCEL of an INVITE is sent; not Known: there is no record
// of the INVITE.
func (t *Table) Follow(key uint64, ack bool) (e Effect) {
	t.look(key, func(_ *shard, r *entry) {
		e = r.follow(ack)
		e.Key = key
	})
	return e
}

// Open describes an open NOTIFY of the server, with its bytes; not Known: it is not open, or
// rewatch's own.
func (t *Table) Open(key uint64) (e Effect) {
	t.look(key, func(_ *shard, r *entry) {
		if r.phase == open && r.kind == Notify && !r.from.Own {
			e = r.effect(0)
			e.Key, e.Text = key, bytes.Clone(r.text)
		}
	})
	return e
}

// Hurry makes an open transaction that retransmits its request do so at once.
func (t *Table) Hurry(key uint64, at Moment) {
	t.look(key, func(s *shard, r *entry) {
		if r.phase == open && r.resend && r.more.resendAt != 0 {
			own := r.ownMore()
			own.interval, own.resendAt = t.rules.T1/2, at
			s.wheel.set(r, r.due(&t.rules))
		}
	})
}

// Expire fires the timers of one shard that are due, and appends what follows to list.
func (t *Table) Expire(i int, at Moment, list []Effect) []Effect {
	s := &t.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	now := t.now(at)
	s.due = s.wheel.expired(at, s.due[:0])
	for _, r := range s.due {
		var e Effect
		t.decide(s, r, now, 0, (*Transaction).expire, &e)
		if e.Do&^Forget != 0 || e.End != NotOver {
			list = append(list, e)
		}
	}
	clear(s.due)
	return list
}

// Answered keeps the answer that retransmissions of a request get.
func (t *Table) Answered(key uint64, b []byte) {
	t.look(key, func(s *shard, r *entry) {
		if r.phase != open && (r.kind != Invite || !r.from.Reliable) {
			s.keep(&r.text, b)
			r.keepsAnswer = true
		}
	})
}

// RelayLate makes late responses of a transaction be forwarded.
func (t *Table) RelayLate(key uint64) {
	t.look(key, func(_ *shard, r *entry) { r.lateRelay = true })
}

// SentOver notes the connection that a request is sent over.
func (t *Table) SentOver(key, stream uint64) {
	t.look(key, func(_ *shard, r *entry) { r.stream = stream })
}

// OnStream lists the open transactions whose request was sent over a connection.
func (t *Table) OnStream(id uint64) (keys []uint64) {
	t.each(func(r *entry) {
		if r.stream == id && r.phase == open {
			keys = append(keys, r.key)
		}
	})
	return keys
}

// Abandon ends the open transactions of a subject and kind, as if no hop could be reached,
// and gives what follows.
func (t *Table) Abandon(subject uint64, kind Kind, at Moment) (list []Effect) {
	now := t.now(at)
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, r := range s.byKey {
			if r.phase == open && r.subject == subject && r.kind == kind {
				var e Effect
				t.decide(s, r, now, 0, func(r *Transaction, now Now) Effect { return r.endUnanswered(now, Unreachable) }, &e)
				list = append(list, e)
			}
		}
		s.mu.Unlock()
	}
	return list
}

// Opened counts the open transactions that are older than a moment.
func (t *Table) Opened(before Moment) (n int) {
	t.each(func(r *entry) {
		if r.phase == open && r.created < before {
			n++
		}
	})
	return n
}

func (t *Table) each(visit func(*entry)) {
	for i := range t.shards {
		t.shards[i].each(visit)
	}
}

func (s *shard) each(visit func(*entry)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.byKey {
		visit(r)
	}
}

// Len is the number of transactions.
func (t *Table) Len() int { return int(t.n.Load()) }

// Usage is the memory that the transactions take, in bytes.
func (t *Table) Usage() int64 { return t.n.Load()*perEntry + t.bytes.Load() }

// Filled is signalled when the table is no longer empty.
func (t *Table) Filled() <-chan struct{} { return t.filled }

// Full tells whether there is no room for another transaction.
func (t *Table) Full() bool { return t.exceeds(t.limit, t.maxBytes) }

// Reserved tells whether only the last quarter of the room is left. It is for requests that
// need a record: for NOTIFYs above all, whose failure would not be noticed without one.
func (t *Table) Reserved() bool { return t.exceeds(t.limit-t.limit/4, t.maxBytes-t.maxBytes/4) }

// Scarce tells whether only the last eighth is left, which is for NOTIFYs alone.
func (t *Table) Scarce() bool { return t.exceeds(t.limit-t.limit/8, t.maxBytes-t.maxBytes/8) }

// exceeds tells whether there are n transactions or so many kept bytes.
func (t *Table) exceeds(n, bytes int64) bool {
	return t.n.Load() >= n || t.bytes.Load() >= bytes || t.Tight.Load()
}

// Crowded tells whether records that are not needed should be removed early.
func (t *Table) Crowded() bool { return t.n.Load() >= t.limit/2 }
