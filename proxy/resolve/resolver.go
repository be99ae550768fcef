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
// cache, with the longest names and the most hops, the names that wait, and the lookups.
const Budget = defaultEntries*(perName+maxHops*int64(unsafe.Sizeof(Hop{}))) + 2*maxQueued*perJob + defaultFills*perFill

const (
	// perName is the memory of a name beside its hops: the name three times, as a target and
	// as the name in a certificate, and its entry.
	perName = 3*maxHost + 512
	perJob  = 3*maxHost + 256
	perFill = 32 << 10 // a goroutine, and an answer of DNS
)

var (
	// ErrBusy says that too many names are being looked up already.
	ErrBusy = errors.New("too many names are being resolved")
	// ErrClosed says that the Resolver was shut down.
	ErrClosed = errors.New("resolver is shut down")
)

// Config is what a Resolver needs; zero values have sensible meanings.
type Config struct {
	// Exchange asks the questions; nil means [NewSystem].
	Exchange Exchanger
	// MaxEntries bounds the cache (4096), MaxFills the lookups at the same time (256).
	MaxEntries, MaxFills int
	// Timeout bounds the whole search for one target (15 s).
	Timeout time.Duration
	// Evicted, if not nil, is called for each name that is removed for another one. It must
	// not block.
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

// Lookup returns the hops of a target without waiting. false: they are not known; Await looks
// them up. The slice is shared and must not be changed.
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
		// The old answer is used below while this runs.
		_, _ = r.fill(t, 0, now)
	}
	if !e.usable(now) {
		return nil, false
	}
	e.used = now
	return e.hops, true
}

// Await looks up the hops of a target, on behalf of an asker (0: of our own), if they are not
// known. It calls done once, with the hops or the reason why there are none: at once, on the
// goroutine of the caller, if they are known; else later, on one of the Resolver. done must not
// block.
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

// Resolve waits for the hops of a target; the duration is their TTL.
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

// ttl is the remaining TTL of the present answer for a target.
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
