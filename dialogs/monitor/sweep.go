package monitor

import (
	"context"
	"sync"
	"time"

	"rewatch/dialogs/monitor/slab"
	"rewatch/policy"
)

// repeat calls do again and again until ctx ends.
func repeat(ctx context.Context, every time.Duration, do func(time.Time)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			do(now)
		}
	}
}

// sweepParts is in how many parts, one each second, a big table is swept. To read a million
// records takes a few milliseconds, which is less than a list in the order of expiry would
// cost with every NOTIFY.
const sweepParts = 16

// sweepAtOnce is how many records one part has at least: a small table has fewer parts.
const sweepAtOnce = 1 << 12

// A sweep reads records that are not in the caches, and messages wait meanwhile. So it
// pauses for sweepPause after every sweepStretch slots, some 60 us of work.
const (
	sweepStretch = 2048
	sweepPause   = time.Millisecond
)

// breath counts the slots since the last pause of a sweep.
type breath struct{ slots int }

// each calls do for each slot. It holds the lock for one chunk at a time, some microseconds.
func (b *breath) each(mu *sync.Mutex, slots func() uint32, do func(slot uint32)) {
	mu.Lock()
	used := slots()
	mu.Unlock()
	for first := uint32(1); first <= used; first += 1 << slab.ChunkBits {
		mu.Lock()
		for slot := first; slot <= used && slot < first+1<<slab.ChunkBits; slot++ {
			do(slot)
		}
		mu.Unlock()
		if b.slots += min(1<<slab.ChunkBits, int(used)); b.slots >= sweepStretch {
			b.slots = 0
			time.Sleep(sweepPause)
		}
	}
}

// expiry is the sweep of a Monitor.
type expiry struct{ *Monitor }

// sweep ends what has expired by now.
func (x expiry) sweep(now time.Time) {
	var then []func()
	var b breath
	parts := min(sweepParts, 1+(x.records.Load()+x.registered.Load())/sweepAtOnce)
	part := now.Unix() % parts
	for i := range shards {
		mine := int64(i)%parts == part
		then = x.subscriptions(&x.subs[i], now, mine, &b, then)
		if mine {
			x.identities.Forget(i, now)
			then = x.registrations(&x.users[i], now, &b, then)
		}
	}
	for _, f := range then {
		f()
	}
}

// subscriptions looks for temporary failures whose deadline has passed, and for subscriptions
// that have expired.
func (x expiry) subscriptions(sh *subShard, now time.Time, all bool, b *breath, then []func()) []func() {
	at := now.UnixNano()
	sh.mu.Lock()
	for slot, w := range sh.waiting {
		if w.deadline > at {
			continue
		}
		if f := x.gaveOut(sh, slot, now); f != nil {
			then = append(then, f)
		}
	}
	sh.mu.Unlock()
	if !all {
		return then
	}
	b.each(&sh.mu, sh.subs.Slots, func(slot uint32) {
		if s := sh.subs.At(slot); s.used() && s.until <= at {
			if f := x.expired(s, now); f != nil {
				then = append(then, f)
			}
			x.remove(sh, slot)
		}
	})
	return then
}

// expired gives what tells the Engine of a subscription that was not refreshed; nil if the
// Engine need not know. A failed one is left to its recovery, which may take longer than the
// subscription would have lasted.
func (x expiry) expired(s *subscription, now time.Time) func() {
	if s.phase != active || s.failed || !x.rec.Interested(s.watcher()) {
		return nil
	}
	watcher, sub := s.watcher(), s.broken()
	return func() {
		x.rec.Offer(watcher, policy.Event{Kind: policy.Ended, At: now, Sub: sub})
	}
}

// registrations ends the registrations that have expired.
func (x expiry) registrations(us *userShard, now time.Time, b *breath, then []func()) []func() {
	b.each(&us.mu, us.users.Slots, func(slot uint32) {
		u := us.users.At(slot)
		if !u.registration.known() || u.registration.until > now.UnixNano() {
			return
		}
		aor := u.aor
		x.clearRegistration(us, slot)
		if x.shared == nil { // otherwise another process may have seen a later REGISTER
			x.noteRegistration(us, aor)
		}
		then = append(then, func() { x.periods.Lapsed(aor, now) })
	})
	return then
}
