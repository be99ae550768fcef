package transaction

import (
	"bytes"
	"sync/atomic"
	"unsafe"

	"rewatch/proxy/resolve"
)

// Shards is how many parts a Table has.
const Shards = 16

// Table holds the transactions, by the hash that is also in our branch.
type Table struct {
	rules  Rules
	shards [Shards]shard
	limit  int64
	n      atomic.Int64
	// bytes is what the transactions have of their messages, and of further hops. It has a
	// limit too, for large messages would make the other one mean little.
	bytes    atomic.Int64
	maxBytes int64
	filled   chan struct{}
	// Tight is set while memory is short: the table is full then.
	Tight atomic.Bool
}

const (
	// bytesEach is what a transaction may have of its message, on average of all, and
	// leastBytes what all of them may have in any case.
	bytesEach  = 2 << 10
	leastBytes = 1 << 20
	// perEntry is what a transaction takes beside that, with its place in the map.
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

// Begin enters a transaction; false: there is one under that key already. text is what
// is kept of the request, and copied.
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

// look shows the transaction under a key, if there is one. Its shard is locked meanwhile.
func (t *Table) look(key uint64, visit func(*shard, *entry)) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.byKey[key]; r != nil {
		visit(s, r)
	}
}

// happen has an event happen to the transaction under a key, and gives what follows. status
// is that of the response, if the event is one.
func (t *Table) happen(key uint64, at Moment, status int, event func(*Transaction, Now) Effect) (e Effect) {
	t.look(key, func(s *shard, r *entry) { t.decide(s, r, t.now(at), status, event, &e) })
	return e
}

// decide lets a transaction say what follows from an event, and does what concerns the table.
// The shard is locked.
func (t *Table) decide(s *shard, r *entry, now Now, status int, event func(*Transaction, Now) Effect, e *Effect) {
	before := r.phase
	*e = event(&r.Transaction, now)
	if s.settle(r, now, before, status, e) {
		t.n.Add(-1)
	}
}

// Respond tells of a response.
func (t *Table) Respond(key uint64, at Moment, q *Response) Effect {
	return t.happen(key, at, q.Status, func(r *Transaction, now Now) Effect { return r.respond(now, q) })
}

// Fail tells of a send that has failed.
func (t *Table) Fail(key uint64, at Moment, f *Failure) Effect {
	return t.happen(key, at, 0, func(r *Transaction, now Now) Effect { return r.fail(now, f) })
}

// Release sends the CANCEL that is held under a key to where its INVITE went.
func (t *Table) Release(key uint64, at Moment, h resolve.Hop, attempt uint8) Effect {
	return t.happen(key, at, 0, func(r *Transaction, now Now) Effect { return r.release(now, h, attempt) })
}

// Close marks a transaction as one that rewatch has answered itself.
func (t *Table) Close(key uint64, at Moment) {
	t.happen(key, at, 0, func(r *Transaction, now Now) Effect { return r.shut(now, false) })
}

// Outlive is Close for one that got no response; any that comes is told then. It is false
// where none is open.
func (t *Table) Outlive(key uint64, at Moment) (was bool) {
	t.happen(key, at, 0, func(r *Transaction, now Now) Effect {
		was = r.phase == open
		return r.shut(now, true)
	})
	return was
}

// Repeat tells of a request that has come once more. An answer to it is appended to buf.
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

// Follow asks where the ACK or the CANCEL of an INVITE goes; not Known: where the
// INVITE went is not remembered.
func (t *Table) Follow(key uint64, ack bool) (e Effect) {
	t.look(key, func(_ *shard, r *entry) {
		e = r.follow(ack)
		e.Key = key
	})
	return e
}

// Open tells of a NOTIFY of somebody else's that is open, with its bytes; not Known: it
// is not.
func (t *Table) Open(key uint64) (e Effect) {
	t.look(key, func(_ *shard, r *entry) {
		if r.phase == open && r.kind == Notify && !r.from.Own {
			e = r.effect(0)
			e.Key, e.Text = key, bytes.Clone(r.text)
		}
	})
	return e
}

// Hurry has an open transaction that retransmits its request do so at once.
func (t *Table) Hurry(key uint64, at Moment) {
	t.look(key, func(s *shard, r *entry) {
		if r.phase == open && r.resend && r.more.resendAt != 0 {
			own := r.own()
			own.interval, own.resendAt = t.rules.T1/2, at
			s.wheel.set(r, r.due(&t.rules))
		}
	})
}

// Expire lets the time pass for one shard, and appends what follows to list.
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

// RelayLate has late responses of a transaction passed on.
func (t *Table) RelayLate(key uint64) {
	t.look(key, func(_ *shard, r *entry) { r.lateRelay = true })
}

// SentOver notes the stream that a request was sent over.
func (t *Table) SentOver(key, stream uint64) {
	t.look(key, func(_ *shard, r *entry) { r.stream = stream })
}

// OnStream lists the open transactions whose request left by a stream.
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
				t.decide(s, r, now, 0, func(r *Transaction, now Now) Effect { return r.outlived(now, Unreachable) }, &e)
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

// Bytes is what the transactions have of their messages.
func (t *Table) Bytes() int64 { return t.bytes.Load() }

// Usage is the memory that the transactions take, in bytes.
func (t *Table) Usage() int64 { return t.n.Load()*perEntry + t.bytes.Load() }

// Filled is signalled when the table is empty no more.
func (t *Table) Filled() <-chan struct{} { return t.filled }

// Full tells whether a further transaction would pass a limit.
func (t *Table) Full() bool { return t.beyond(t.limit, t.maxBytes) }

// Reserved tells whether the room that is left, the last quarter, is for those who
// have to have it: NOTIFYs above all, whose failures would not be seen.
func (t *Table) Reserved() bool { return t.beyond(t.limit-t.limit/4, t.maxBytes-t.maxBytes/4) }

// Scarce tells whether the last of that room is for NOTIFYs alone.
func (t *Table) Scarce() bool { return t.beyond(t.limit-t.limit/8, t.maxBytes-t.maxBytes/8) }

// beyond tells whether there are so many, or they have so many bytes.
func (t *Table) beyond(n, bytes int64) bool {
	return t.n.Load() >= n || t.bytes.Load() >= bytes || t.Tight.Load()
}

// Crowded tells whether it is time to forget what is only nice to remember.
func (t *Table) Crowded() bool { return t.n.Load() >= t.limit/2 }
