package resolve

import (
	"context"
	"errors"
	"sync"
	"time"
	"unsafe"
)

const (
	defaultEntries = 4096
	defaultFills   = 256
	defaultTimeout = 15 * time.Second
	// maxWaiters bounds the callbacks that wait for one name.
	maxWaiters = 4096
)

// Budget is the memory that a Resolver takes at most, in bytes, with the defaults: the
// cache, where each name is as long as it can be and has as many hops, what waits, and
// what is asked for.
const Budget = defaultEntries*(perName+maxHops*int64(unsafe.Sizeof(Hop{}))) + 2*maxQueued*perJob + defaultFills*perFill

const (
	// perName is what a name takes beside its hops: itself, three times as a target and as
	// the name that TLS has to prove, and its record.
	perName = 3*maxHost + 512
	perJob  = 3*maxHost + 256
	perFill = 32 << 10 // a goroutine, and an answer of DNS
)

var (
	// ErrBusy says that too many names are being asked for already.
	ErrBusy = errors.New("too many names are being resolved")
	// ErrClosed says that the Resolver was shut down.
	ErrClosed = errors.New("resolver is shut down")
)

// Config is what a Resolver needs; zero values have sensible meanings.
type Config struct {
	// Exchange asks the questions; nil means [NewSystem].
	Exchange Exchanger
	// MaxEntries bounds the cache (4096), MaxFills the names that are asked for
	// at the same time (256).
	MaxEntries, MaxFills int
	// Timeout bounds the whole search for one target (15 s).
	Timeout time.Duration
	// Evicted, if not nil, is told of each name that made room for another one. It
	// must not block.
	Evicted func()
}

// Resolver finds next hops and remembers them.
type Resolver struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	queue  queue
	cache  map[Target]*entry
}

// New returns a Resolver; Shutdown ends it.
func New(cfg Config) *Resolver {
	if cfg.Exchange == nil {
		cfg.Exchange = NewSystem()
	}
	if cfg.MaxEntries <= 0 {
		cfg.MaxEntries = defaultEntries
	}
	if cfg.MaxFills <= 0 {
		cfg.MaxFills = defaultFills
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Evicted == nil {
		cfg.Evicted = func() {}
	}
	r := &Resolver{cfg: cfg, cache: make(map[Target]*entry), queue: queue{most: cfg.MaxFills, askers: make(map[uint64]*asker)}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Lookup returns the hops that are known, without waiting. If none are it reports false;
// Await has them found, and tells when they are there. The slice is shared and must not be
// changed.
func (r *Resolver) Lookup(t Target) ([]Hop, bool) {
	if hops, ok := literal(t); ok {
		return hops, true
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.cache[t]
	if e == nil || len(e.hops) == 0 {
		return nil, false
	}
	if !e.fresh(now) {
		// A stale answer is served below while this runs.
		_, _ = r.fill(t, 0, now)
	}
	if !e.usable(now) {
		return nil, false
	}
	e.used = now
	return e.hops, true
}

// Await has the hops of a target found, on behalf of an asker (0: of our own), if they are
// not known: names of different askers wait for each other in turn. It calls done once, with the hops or with why there are none: at once, on
// the goroutine of the caller, if that is known; else later, on one of the
// Resolver. done must not block.
func (r *Resolver) Await(t Target, asker uint64, done func([]Hop, error)) {
	hops, err, known := r.await(t, asker, done)
	if known {
		done(hops, err)
	}
}

//nolint:revive // known says whether there is an error at all
func (r *Resolver) await(t Target, asker uint64, done func([]Hop, error)) (hops []Hop, err error, known bool) {
	if hops, ok := literal(t); ok {
		return hops, nil, true
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.cache[t]
	if e == nil || !e.fresh(now) {
		if e, err = r.fill(t, asker, now); err != nil {
			return nil, err, true
		}
	}
	e.used = now
	switch {
	case e.usable(now):
		return e.hops, nil, true
	case !e.filling:
		return nil, e.err, true
	case len(e.waiters) >= maxWaiters:
		return nil, ErrBusy, true
	}
	e.waiters = append(e.waiters, done)
	return nil, nil, false
}

// Resolve waits for the hops of a target; the duration says how long they hold.
func (r *Resolver) Resolve(ctx context.Context, t Target) ([]Hop, time.Duration, error) {
	type answer struct {
		hops []Hop
		err  error
	}
	answers := make(chan answer, 1)
	r.Await(t, 0, func(hops []Hop, err error) { answers <- answer{hops, err} })
	select {
	case a := <-answers:
		return a.hops, r.ttl(t), a.err
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

// ttl is how long the present answer for a target holds.
func (r *Resolver) ttl(t Target) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.cache[t]; e != nil {
		return max(time.Until(e.expires), 0)
	}
	return maxTTL
}

// Shutdown ends all searches and waits for their goroutines.
func (r *Resolver) Shutdown(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	still := make(chan struct{})
	go func() {
		r.wg.Wait()
		close(still)
	}()
	select {
	case <-still:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
