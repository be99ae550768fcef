package fallback

import (
	"bytes"
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
)

// Config says how a Queue works.
type Config struct {
	// Send sends one REGISTER to the server and waits for its final response.
	Send func(ctx context.Context, raw []byte) dialogs.Result
	// Up says whether the server can be reached.
	Up func() bool
	// Observing says whether nothing is answered or sent now (REWATCH_DRY_RUN).
	Observing func() bool
}

const (
	every    = time.Second / 100 // the time between two REGISTERs
	maxBytes = 64 << 20          // of all that are kept
	// Budget is the memory that a Queue uses at most, in bytes.
	Budget = maxBytes + maxGone + maxGone/8 + concurrency*64<<10
	// overhead is the memory of one REGISTER beside its bytes, at most, with the rounding up
	// of its user.
	overhead = 400
	// concurrency bounds the REGISTERs that wait for their response.
	concurrency = 16
	// rest is the pause after a failure, longestRest the longest one that the server may ask
	// for, trial the time between two attempts while the server
	// is down, look the time between two looks whether it is up again.
	rest        = 5 * time.Second
	longestRest = 2 * time.Minute
	trial       = 10 * time.Second
	look        = time.Second
	// assumedExpires is the length of a registration that names none, as in package
	// monitor. A sign-out is kept for as long as a registration may last.
	assumedExpires = time.Hour
	signOutKept    = 24 * time.Hour
)

// Queue keeps the newest REGISTER of each user until the server has it.
type Queue struct {
	cfg     Config
	log     zerolog.Logger
	results map[result]prometheus.Counter
	wake    chan struct{}
	cancel  context.CancelFunc
	ended   chan struct{}

	mu       sync.Mutex
	users    map[string]*register
	order    list.List // of *register, the oldest first; without those under way
	bytes    int
	maxBytes int
	number   uint64
	resume   time.Time // nothing is sent before
	tried    time.Time // the last attempt, or when the server was up last
	notes    notes
}

// register is the REGISTER that is kept of a user.
type register struct {
	user   string
	raw    []byte
	at     time.Time
	until  time.Time     // when the registration expires
	number uint64        // counts the REGISTERs in the order in which they came
	place  *list.Element // nil: it is under way, or waits for one that is
}

func (r *register) size() int { return len(r.user) + cap(r.raw) + overhead }

// New makes a Queue, which sends nothing before Start.
func New(cfg Config, log zerolog.Logger, reg prometheus.Registerer) *Queue {
	q := &Queue{
		cfg: cfg, log: log, maxBytes: maxBytes, users: map[string]*register{},
		wake: make(chan struct{}, 1), ended: make(chan struct{}), tried: time.Now(),
	}
	q.register(reg)
	return q
}

// Keep keeps a copy of the REGISTER of a user, in place of an older one. It is sent when the
// server is back, unless the registration has expired by then; expires is in seconds, below 0
// if it names none. If there is no room it is not kept: the S-CSCF has its response all the
// same, and sends another REGISTER when the registration is refreshed.
func (q *Queue) Keep(user, raw []byte, expires int, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	old, underWay := q.users[string(user)], false
	if old != nil && bytes.Equal(old.raw, raw) {
		return // a retransmission
	}
	if old != nil {
		underWay = old.place == nil
		q.drop(old)
		q.count(replaced)
	}
	q.number++
	r := &register{user: string(user), raw: bytes.Clone(raw), at: at, until: at.Add(lasts(expires)), number: q.number}
	if q.bytes+r.size() > q.maxBytes {
		q.count(full)
		return
	}
	q.enter(r)
	if !underWay { // otherwise done places it, after the older one
		q.place(r)
	}
	q.count(kept)
	q.Wake()
}

// lasts is how long a REGISTER is kept, by its expiry in seconds.
func lasts(expires int) time.Duration {
	switch {
	case expires < 0:
		return assumedExpires
	case expires == 0:
		return signOutKept
	}
	return time.Duration(expires) * time.Second
}

// Keeps says whether a REGISTER of a user is kept or under way: a later one has to be kept as
// well, or it might arrive first.
func (q *Queue) Keeps(user []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.users[string(user)] != nil
}

// On says whether REGISTERs are answered and sent now.
func (q *Queue) On() bool { return !q.cfg.Observing() }

// Len is the number of REGISTERs that are kept.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.users)
}

// Wake makes the Queue look at once whether the server is back.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default: // it is about to look
	}
}

// enter adds the REGISTER of a user; the lock is held.
func (q *Queue) enter(r *register) {
	q.users[r.user] = r
	q.bytes += r.size()
	q.note(r.user)
}

// place puts a REGISTER in order, by its number; the lock is held.
func (q *Queue) place(r *register) {
	after := q.order.Back()
	for after != nil && after.Value.(*register).number > r.number { //nolint:forcetypeassert // nothing else is in it
		after = after.Prev()
	}
	if after == nil {
		r.place = q.order.PushFront(r)
	} else {
		r.place = q.order.InsertAfter(r, after)
	}
}

// drop removes a REGISTER; the lock is held.
func (q *Queue) drop(r *register) {
	if r.place != nil {
		q.order.Remove(r.place)
		r.place = nil
	}
	delete(q.users, r.user)
	q.bytes -= r.size()
	q.note(r.user)
}
