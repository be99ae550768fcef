package monitor

import (
	"context"
	"time"

	"rewatch/dialogs/monitor/slab"
	"rewatch/policy"
)

// sweeper runs one function again and again until it is stopped.
type sweeper struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (s *sweeper) start(ctx context.Context, every time.Duration, sweep func(time.Time)) {
	ctx, s.cancel = context.WithCancel(ctx)
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				sweep(now)
			}
		}
	}()
}

func (s *sweeper) stop(ctx context.Context) error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sweepParts is in how many seconds all of a big table is looked through once.
// Reading a million records takes a few milliseconds, which is less than any
// order of them by time would cost at every NOTIFY.
const sweepParts = 16

// sweepAtOnce is how many records a tick takes of a table that has less than that for
// each of sweepParts: what is read drives other things out of the caches.
const sweepAtOnce = 1 << 12

// What a sweep has looked at is not in the caches, and messages wait meanwhile: it
// takes a breath of sweepPause after every sweepStretch slots, some 60 us of work.
const (
	sweepStretch = 2048
	sweepPause   = time.Millisecond
)

// breath counts the slots of a sweep.
type breath struct{ slots int }

func (b *breath) take(slots int) {
	if b.slots += slots; b.slots >= sweepStretch {
		b.slots = 0
		time.Sleep(sweepPause)
	}
}

// expiry ends what has expired in a Monitor.
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

// subscriptions looks for temporary failures that were not made good, and for
// subscriptions whose time is over.
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
	used := sh.subs.Slots()
	sh.mu.Unlock()
	if !all {
		return then
	}
	// The lock is held for one chunk at a time, some microseconds.
	for first := uint32(1); first <= used; first += 1 << slab.ChunkBits {
		sh.mu.Lock()
		for slot := first; slot <= used && slot < first+1<<slab.ChunkBits; slot++ {
			if s := sh.subs.At(slot); s.used() && s.until <= at {
				if f := x.expired(s, now); f != nil {
					then = append(then, f)
				}
				x.remove(sh, slot)
			}
		}
		sh.mu.Unlock()
		b.take(min(1<<slab.ChunkBits, int(used)))
	}
	return then
}

// expired tells of a subscription that nobody has refreshed. One that has failed
// is left to its recovery, which is about getting a new one, and may well take
// longer than the old one would have lasted.
func (x expiry) expired(s *subscription, now time.Time) func() {
	if s.phase != active || s.failed || !x.rec.Interested(s.watcher()) {
		return nil
	}
	watcher, sub := s.watcher(), s.broken()
	return func() {
		x.rec.Offer(watcher, policy.Event{Kind: policy.Ended, At: now, Sub: sub})
	}
}

// registrations ends the registrations that have lapsed.
func (x expiry) registrations(us *userShard, now time.Time, b *breath, then []func()) []func() {
	at := now.UnixNano()
	us.mu.Lock()
	used := us.users.Slots()
	us.mu.Unlock()
	for first := uint32(1); first <= used; first += 1 << slab.ChunkBits {
		us.mu.Lock()
		for slot := first; slot <= used && slot < first+1<<slab.ChunkBits; slot++ {
			u := us.users.At(slot)
			if !u.registration.known() || u.registration.until > at {
				continue
			}
			aor := u.aor
			x.clearRegistration(us, slot)
			if x.shared == nil { // else another process may have seen a later one
				x.noteRegistration(us, aor)
			}
			then = append(then, func() { x.periods.Lapsed(aor, now) })
		}
		us.mu.Unlock()
		b.take(min(1<<slab.ChunkBits, int(used)))
	}
	return then
}
