package capture

import (
	"bytes"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"rewatch/dialogs/aor"
	"rewatch/proxy/wire"
)

// Message is one message as it was on the wire.
type Message struct {
	At        time.Time
	Transport string // "udp", "tcp" or "tls"
	From, To  netip.AddrPort
	Raw       []byte
}

// Recorder keeps messages. Its methods may be called from any goroutine.
type Recorder struct {
	seed maphash.Seed
	read sync.Pool // of *wire.Message

	mu   sync.Mutex
	ring []byte
	// written counts all bytes that were ever written to the ring, entries are the messages
	// in it, the oldest first.
	written uint64
	entries queue
	most    int // entries
}

// entry is where a message is in the ring.
type entry struct {
	at        time.Time
	from, to  netip.AddrPort
	transport string
	user      uint64
	start     uint64 // as Recorder.written counts
	length    int
}

// perEntry is the memory of an entry beside the ring, at most, in a list that has grown.
const perEntry = 256

// New makes a Recorder that takes size bytes of memory, some thousands or more: a quarter of
// them for the list of messages.
func New(size int) *Recorder {
	return &Recorder{
		seed: maphash.MakeSeed(), ring: make([]byte, size-size/4), most: max(size/4/perEntry, 1),
		read: sync.Pool{New: func() any { return new(wire.Message) }},
	}
}

// Record keeps a copy of a message of a watcher; it is a socket.Tap.
func (r *Recorder) Record(transport string, from, to netip.AddrPort, raw []byte) {
	user, ok := r.userOf(raw)
	if !ok || len(raw) > len(r.ring)/4 {
		return
	}
	e := entry{at: time.Now(), from: from, to: to, transport: transport, user: user, length: len(raw)}
	r.mu.Lock()
	defer r.mu.Unlock()
	size := uint64(len(r.ring))
	if at := r.written % size; at+uint64(len(raw)) > size { // a message stays in one piece
		r.written += size - at
	}
	e.start = r.written
	copy(r.ring[r.written%size:], raw)
	r.written += uint64(len(raw))
	for !r.entries.empty() && (r.written-r.entries.first().start > size || r.entries.len() >= r.most) {
		r.entries.drop()
	}
	r.entries.add(e)
}

// userOf is the user whom a message concerns, by a hash of the address of record.
func (r *Recorder) userOf(raw []byte) (uint64, bool) {
	m := r.read.Get().(*wire.Message) //nolint:errcheck,forcetypeassert // nothing else is in it
	defer r.read.Put(m)
	if wire.Scan(raw, m) != nil {
		return 0, false
	}
	name := wire.To
	_, method, _ := m.CSeqValue()
	switch string(method) {
	case "SUBSCRIBE":
		name = wire.From
	case "NOTIFY", "MESSAGE", "REGISTER":
	default:
		return 0, false
	}
	value, _ := m.Value(name)
	uri, _, _ := wire.Address(value)
	var scratch [aor.MaxScratch]byte
	user, ok := aor.Append(scratch[:0], uri)
	return maphash.Bytes(r.seed, user), ok
}

// MaxBytes bounds the result of Of: the messages of one user are rarely more.
const MaxBytes = 4 << 20

// Of gives copies of the messages of a user between two times, the oldest first, and at most
// MaxBytes of them.
func (r *Recorder) Of(user string, from, to time.Time) (found []Message) {
	hash, room := maphash.String(r.seed, user), MaxBytes
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.entries.len() {
		e := r.entries.at(i)
		if e.user != hash || e.at.Before(from) || e.at.After(to) {
			continue
		}
		if room -= e.length; room < 0 {
			break
		}
		start := e.start % uint64(len(r.ring))
		found = append(found, Message{
			At: e.at, Transport: e.transport, From: e.from, To: e.to, Raw: bytes.Clone(r.ring[start : start+uint64(e.length)]), //nolint:gosec // less than the ring
		})
	}
	return found
}

// queue is a first-in-first-out list.
type queue struct {
	list []entry
	head int
}

func (q *queue) empty() bool     { return q.head == len(q.list) }
func (q *queue) len() int        { return len(q.list) - q.head }
func (q *queue) first() *entry   { return &q.list[q.head] }
func (q *queue) at(i int) *entry { return &q.list[q.head+i] }

func (q *queue) drop() {
	q.list[q.head] = entry{}
	q.head++
}

// add appends an entry. Before the list would grow, it moves the entries to the front.
func (q *queue) add(e entry) {
	if len(q.list) == cap(q.list) && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, e)
}
