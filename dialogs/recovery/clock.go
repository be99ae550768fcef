package recovery

import (
	priority "container/heap"
	"math"
	"sync/atomic"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/queue"
	"rewatch/policy"
)

// engineClock delivers the Ticks. earlier wakes it when a deadline is set that comes before
// the one that it sleeps for.
type engineClock struct {
	e       *Engine
	next    atomic.Int64 // Unix nanoseconds of what it sleeps for
	earlier chan struct{}
}

// schedule sets when a user's Tick is due; the zero time is never. The shard is
// locked.
func (e *Engine) schedule(sh *engineShard, u *engineUser, at time.Time) {
	if !at.IsZero() {
		at = at.Add(e.others.late(u))
	}
	if !at.IsZero() && at.Before(u.notBefore) {
		at = u.notBefore
	}
	if u.signOut != nil && (at.IsZero() || u.signOutAt.Before(at)) {
		at = u.signOutAt
	}
	u.wake = at
	switch placed := u.place != unplaced; {
	case at.IsZero() && placed:
		priority.Remove(&sh.due, u.place)
	case at.IsZero():
	case placed:
		priority.Fix(&sh.due, u.place)
	default:
		priority.Push(&sh.due, u)
	}
	if !at.IsZero() && at.UnixNano() < e.clock.next.Load() {
		queue.Signal(e.clock.earlier)
	}
}

// run delivers the Ticks until the Engine is shut down.
func (c *engineClock) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		// From here on each new deadline wakes this goroutine again, so that none is missed
		// between the look at its shard and the sleep.
		c.next.Store(math.MaxInt64)
		next := c.strike(time.Now())
		if !next.IsZero() {
			c.next.Store(next.UnixNano())
			timer.Reset(time.Until(next))
		}
		asleep := time.Now()
		select {
		case <-timer.C:
		case <-c.earlier:
		case <-c.e.stopClock:
			return
		}
		if dialogs.Overslept(time.Now(), asleep, next) > 0 {
			timer.Reset(readersTurn)
			select {
			case <-timer.C:
			case <-c.e.stopClock:
				return
			}
		}
	}
}

// readersTurn is how long deadlines wait when the process has stood still: for what waits in
// the sockets, and for the server to answer it.
const readersTurn = time.Second

// strike delivers the Ticks that are due, and returns when the next one will be.
func (c *engineClock) strike(now time.Time) time.Time {
	var next time.Time
	for i := range c.e.shards {
		sh := &c.e.shards[i]
		due, at := sh.takeDue(now)
		for _, aor := range due {
			c.e.tick(sh, aor, now) // which wakes run if it sets an earlier deadline
		}
		next = first(next, at)
	}
	return next
}

// takeDue takes the users out of the heap whose Tick is due, and returns when the next one is.
func (sh *engineShard) takeDue(now time.Time) (due []string, next time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for len(sh.due) > 0 && !sh.due[0].wake.After(now) {
		due = append(due, priority.Pop(&sh.due).(*engineUser).aor)
	}
	if len(sh.due) > 0 {
		next = sh.due[0].wake
	}
	return due, next
}

// tick delivers a Tick to a user. The Directory is asked before the lock is
// taken, for it may hold a lock of its own when it offers something.
func (e *Engine) tick(sh *engineShard, aor string, now time.Time) {
	s, known := e.look(aor)
	registered := known && s.Phase == policy.Idle && s.Sent > 0 && e.dir.User(aor).Registered
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[aor]
	if u != nil {
		u.timely(now)
	}
	switch {
	case u == nil:
	case u.foreign && e.alarms.storeAway.Load():
		// The replica that saved the user acts for it, and cannot be heard now.
		e.schedule(sh, u, now)
	case e.outages.park(u, now):
	case e.outages.unproven(u, now):
		e.schedule(sh, u, now.Add(tryAgain))
	case u.signingOut && u.state.Phase == policy.Exhausted && !over(u.state, now):
		// The outcome of the de-REGISTER is sure to come as well, even if after hours.
		e.schedule(sh, u, first(u.state.BannedUntil, u.state.ForgetAt))
	case u.messaging && (u.state.Phase == policy.Notifying || u.state.Phase == policy.Gathering):
		// The MESSAGE waits for its turn or its response. Its outcome is sure to
		// come, and sets the deadline anew.
	case registered && u.state.Phase == policy.Idle && u.state.Sent > 0:
		// The count lasts as long as the registration.
		e.schedule(sh, u, now.Add(e.cfg.Rules.Forget))
	default:
		e.decide(sh, u, policy.Event{Kind: policy.Tick, At: now})
	}
}

// unplaced is the place of a user that is not in the heap.
const unplaced = -1

// deadlines is the heap of a shard, the earliest deadline on top.
type deadlines []*engineUser

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].wake.Before(d[j].wake) }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push adds a user; use priority.Push.
func (d *deadlines) Push(x any) {
	u := x.(*engineUser)
	u.place = len(*d)
	*d = append(*d, u)
}

// Pop removes the last user; use priority.Pop.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	u := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	u.place = unplaced
	return u
}
