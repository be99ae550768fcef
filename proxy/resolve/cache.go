package resolve

import (
	"context"
	"errors"
	"time"
)

// However short or long DNS wants an answer to be believed, it is within these.
const (
	minTTL = 5 * time.Second
	maxTTL = 5 * time.Minute
	// A name that does not exist is asked for again after failTTL, one that got
	// no answer after vagueTTL, because that may change any moment.
	failTTL  = 5 * time.Second
	vagueTTL = 2 * time.Second
	// maxStale is how long an old answer is better than none (RFC 8767).
	maxStale = time.Hour
)

// entry is what is known of one target. hops is replaced, never changed, because
// readers share it.
type entry struct {
	hops    []Hop
	err     error
	expires time.Time // when to ask again
	found   time.Time // when hops was found
	used    time.Time
	filling bool
	waiters []func([]Hop, error)
}

func (e *entry) fresh(now time.Time) bool { return now.Before(e.expires) }

// usable says whether there are hops that are not older than an answer may be.
func (e *entry) usable(now time.Time) bool {
	return len(e.hops) > 0 && now.Sub(e.found) <= maxStale
}

// fill makes sure that a target is being asked for. The caller holds r.mu.
func (r *Resolver) fill(t Target, now time.Time) (*entry, error) {
	e := r.cache[t]
	switch {
	case e != nil && e.filling:
		return e, nil
	case r.closed:
		return e, stale(e, now, ErrClosed)
	case r.fills >= r.cfg.MaxFills:
		return e, stale(e, now, ErrBusy)
	}
	if e == nil {
		if !r.room() {
			return nil, ErrBusy
		}
		e = &entry{used: now}
		r.cache[t] = e
	}
	e.filling = true
	r.fills++
	r.wg.Go(func() { r.find(t, e) })
	return e, nil
}

// stale lets an old answer pass where a new one cannot be had.
func stale(e *entry, now time.Time, err error) error {
	if e != nil && e.usable(now) {
		return nil
	}
	return err
}

// evictSample is how many entries are looked at to find one that can go: looking
// at all of them would make every insertion into a full cache a long one.
const evictSample = 32

// room makes room for one more entry, at the cost of the one that was not used
// for longest among a few; the caller holds r.mu.
func (r *Resolver) room() bool {
	if len(r.cache) < r.cfg.MaxEntries {
		return true
	}
	var victim Target
	var oldest *entry
	seen := 0
	for t, e := range r.cache {
		if !e.filling && (oldest == nil || e.used.Before(oldest.used)) {
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

// find asks for one target and tells those who wait.
func (r *Resolver) find(t Target, e *entry) {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
	defer cancel()
	s := &search{ex: r.cfg.Exchange, intN: r.cfg.IntN, ttl: maxTTL}
	hops, err := s.run(ctx, t)
	if err != nil && r.ctx.Err() != nil {
		err = ErrClosed
	}
	r.mu.Lock()
	e.filling = false
	r.fills--
	e.settle(hops, err, s.ttl, time.Now())
	waiters := e.waiters
	e.waiters = nil
	hops, err = e.hops, e.err
	r.mu.Unlock()
	for _, done := range waiters {
		done(hops, err)
	}
}

// settle takes the result of a search. An old answer outlives a search that
// learnt nothing, but not one that learnt that the name is gone.
func (e *entry) settle(hops []Hop, err error, ttl time.Duration, now time.Time) {
	switch {
	case err == nil:
		e.hops, e.err, e.found = hops, nil, now
		e.expires = now.Add(min(max(ttl, minTTL), maxTTL))
	case errors.Is(err, ErrNoRecord):
		e.hops, e.err = nil, err
		e.expires = now.Add(failTTL)
	default:
		if !e.usable(now) {
			e.hops, e.err = nil, err
		}
		e.expires = now.Add(vagueTTL)
	}
}
