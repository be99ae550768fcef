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
	// Up tells whether the server can be reached.
	Up func() bool
	// Observing tells whether nothing is to be sent or answered now (REWATCH_DRY_RUN); nil:
	// never.
	Observing func() bool
	// Rate is how many are sent in a second; MaxBytes is what all of them may have.
	// 0 is 100, and 64 MiB.
	Rate     float64
	MaxBytes int
}

const (
	defaultRate     = 100
	defaultMaxBytes = 64 << 20
	// Budget is the memory that a Queue takes at most, in bytes, with the default.
	Budget = defaultMaxBytes + concurrency*64<<10
	// overhead is what one costs beside its bytes, at most, the rounding up of its name
	// included.
	overhead = 400
	// concurrency bounds those that await their response.
	concurrency = 16
	// rest is the pause after a failure, trial that between attempts while the server is
	// down, look how often it is looked whether the server
	// is back, if nobody says so.
	rest  = 5 * time.Second
	trial = 10 * time.Second
	look  = time.Second
	// assumedExpires is the length of a registration that names none, as package
	// monitor takes it. A sign-out is kept for as long as a registration may last.
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

	mu     sync.Mutex
	users  map[string]*register
	order  list.List // of *register, the oldest first; not those under way
	bytes  int
	number uint64
	resume time.Time // not before
	tried  time.Time // the last attempt, or when the server was up last
	notes  notes
}

// register is the REGISTER that is kept of a user.
type register struct {
	user   string
	raw    []byte
	at     time.Time
	until  time.Time     // nobody needs it any more
	number uint64        // the order in which they came
	place  *list.Element // nil: it is under way, or follows one that is
}

func (r *register) size() int { return len(r.user) + cap(r.raw) + overhead }

// New makes a Queue, which sends nothing before Start.
func New(cfg Config, log zerolog.Logger, reg prometheus.Registerer) *Queue {
	if cfg.Rate <= 0 {
		cfg.Rate = defaultRate
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	q := &Queue{cfg: cfg, log: log, users: map[string]*register{}, wake: make(chan struct{}, 1), ended: make(chan struct{}), tried: time.Now()}
	q.register(reg)
	return q
}

// Keep keeps the REGISTER of a user, in the place of an older one. It is sent when the
// server is back, unless the registration is over by then. Nothing given is kept itself.
// Where there is no room it is not kept: the S-CSCF has its answer all the same, and tells
// of the user again when the registration is refreshed.
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
	if q.bytes+r.size() > q.cfg.MaxBytes {
		q.count(full)
		return
	}
	q.enter(r)
	if !underWay { // else it follows when the older one is done
		q.place(r)
	}
	q.count(kept)
	q.Wake()
}

// lasts is how long a REGISTER means something; expires is in seconds, below 0 where it
// names none.
func lasts(expires int) time.Duration {
	switch {
	case expires < 0:
		return assumedExpires
	case expires == 0:
		return signOutKept
	}
	return time.Duration(expires) * time.Second
}

// Keeps tells whether one of a user waits to be sent, or is under way: what comes after
// it has to be kept as well, lest it arrive first.
func (q *Queue) Keeps(user []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.users[string(user)] != nil
}

// On tells whether REGISTERs are answered and sent now.
func (q *Queue) On() bool { return q.cfg.Observing == nil || !q.cfg.Observing() }

// Len is how many are kept.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.users)
}

// Wake has the Queue look at once whether the server is back.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default: // it is about to
	}
}

// enter makes it the one that is kept of its user; the lock is held.
func (q *Queue) enter(r *register) {
	q.users[r.user] = r
	q.bytes += r.size()
	q.note(r.user)
}

// place has one wait for its turn, in the order in which they came; the lock is held.
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

// drop forgets one; the lock is held.
func (q *Queue) drop(r *register) {
	if r.place != nil {
		q.order.Remove(r.place)
		r.place = nil
	}
	delete(q.users, r.user)
	q.bytes -= r.size()
	q.note(r.user)
}
