package resolve

import (
	"context"
	"errors"
	"time"
)

// The least and the longest TTL, whatever DNS says.
const (
	minTTL = 5 * time.Second
	maxTTL = 5 * time.Minute
	// A name that does not exist is looked up again after failTTL, one without an answer
	// after vagueTTL, because there may be an answer at any moment.
	failTTL  = 5 * time.Second
	vagueTTL = 2 * time.Second
	// longestFailTTL is the longest failTTL of a name that is asked for again and again.
	longestFailTTL = time.Minute
	// maxStale is how long an old answer is used if there is no new one (RFC 8767).
	maxStale = time.Hour
)

// entry is the answer for one target. hops is replaced and never changed, because readers
// share it.
type entry struct {
	hops    []Hop
	err     error
	expires time.Time // when to ask again
	found   time.Time // when hops was found
	used    time.Time
	filling bool // it is being looked up, or waits for that
	fails   int  // in a row
	waiters []func([]Hop, error)
}

func (e *entry) fresh(now time.Time) bool { return now.Before(e.expires) }

// usable says whether there are hops that are not older than maxStale.
func (e *entry) usable(now time.Time) bool {
	return len(e.hops) > 0 && now.Sub(e.found) <= maxStale
}

// fill makes sure that a target is being looked up, now or when its turn comes. The caller
// holds r.mu.
func (r *Resolver) fill(t Target, asker uint64, now time.Time) (*entry, error) {
	e := r.cache[t]
	switch {
	case e != nil && e.filling:
		return e, nil
	case r.closed:
		return e, stale(e, now, ErrClosed)
	case e == nil && !r.room():
		return nil, ErrBusy
	case e == nil:
		e = &entry{used: now}
	case len(e.hops) > 0:
		asker = 0 // a name that exists does not wait behind names that may not
	}
	if !r.queue.add(job{target: t, entry: e, asker: asker, since: now}) {
		return e, stale(e, now, ErrBusy)
	}
	r.cache[t] = e
	e.filling = true
	r.start()
	return e, nil
}

// start begins the lookups that may run now. The caller holds r.mu.
func (r *Resolver) start() {
	for {
		j, ok := r.queue.next()
		if !ok {
			return
		}
		r.wg.Go(func() { r.find(j) })
	}
}

// stale accepts an old answer if there is no new one.
func stale(e *entry, now time.Time, err error) error {
	if e != nil && e.usable(now) {
		return nil
	}
	return err
}

// evictSample is how many entries are compared to find one to remove: comparing all of them
// would make every insertion into a full cache slow.
const evictSample = 32

// lesser tells which of two entries is removed first: one without hops, else the one that has
// not been used for longer.
func (e *entry) lesser(other *entry) bool {
	if found := len(e.hops) > 0; found != (len(other.hops) > 0) {
		return !found
	}
	return e.used.Before(other.used)
}

// room makes room for one more entry by removing the least of evictSample; the caller holds
// r.mu.
func (r *Resolver) room() bool {
	if len(r.cache) < r.cfg.MaxEntries {
		return true
	}
	var victim Target
	var oldest *entry
	seen := 0
	for t, e := range r.cache {
		if !e.filling && (oldest == nil || e.lesser(oldest)) {
			victim, oldest = t, e
		}
		if seen++; seen >= evictSample && oldest != nil {
			break
		}
	}
	if oldest == nil {
		return false
	}
	delete(r.cache, victim)
	r.cfg.Evicted()
	return true
}

// find looks up one target and calls those who wait.
func (r *Resolver) find(j job) {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
	defer cancel()
	s := &search{ex: r.cfg.Exchange, ttl: maxTTL}
	var hops []Hop
	err := ErrBusy
	if time.Since(j.since) <= maxWait {
		hops, err = s.run(ctx, j.target)
	}
	if err != nil && r.ctx.Err() != nil {
		err = ErrClosed
	}
	e := j.entry
	r.mu.Lock()
	e.filling = false
	e.settle(hops, err, s.ttl, time.Now(), j.asker != 0)
	r.queue.done(j)
	r.start()
	waiters := e.waiters
	e.waiters = nil
	hops, err = e.hops, e.err
	r.mu.Unlock()
	for _, done := range waiters {
		done(hops, err)
	}
}

// settle takes the result of a search. An old answer is kept after a search without an answer,
// but not after one that says that the name does not exist. A name that an asker wants again
// and again in vain is looked up less and less often.
func (e *entry) settle(hops []Hop, err error, ttl time.Duration, now time.Time, strange bool) {
	if err == nil {
		e.hops, e.err, e.found, e.fails = hops, nil, now, 0
		e.expires = now.Add(min(max(ttl, minTTL), maxTTL))
		return
	}
	pause := vagueTTL
	if errors.Is(err, ErrNoRecord) {
		pause = failTTL
	}
	if errors.Is(err, ErrNoRecord) || !e.usable(now) {
		e.hops, e.err = nil, err
	}
	if strange {
		pause = min(pause<<e.fails, longestFailTTL)
		e.fails = min(e.fails+1, 8)
	}
	e.expires = now.Add(pause)
}
