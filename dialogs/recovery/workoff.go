package recovery

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"rewatch/dialogs/recovery/queue"
	"rewatch/policy"
)

// When a hold is over, the recoveries of all users who wait go on, one after the other.

// run waits for the ends of holds, and then lets the users go on who wait, until ctx ends.
func (w *worklist) run(ctx context.Context) {
	for {
		select {
		case <-w.e.hold.Released():
		case <-ctx.Done():
			return
		}
		if !w.workOffAll(ctx) {
			return
		}
	}
}

// planEvery is how often the order of the users is made anew, and a planShare-th part of the
// time is what that may take at most.
const (
	planEvery = time.Second
	planShare = 10
)

// turn is the turn of one user to go on. ahead: the hop is still held, and this user is one of
// the few that may go ahead.
type turn struct {
	aor   string
	ahead bool
}

// worklist lets the users go on who waited for the end of an outage.
type worklist struct{ e *Engine }

// workOffAll gives a turn to every user whose hop is not held. A core that has just come back
// must not be overrun, so the turns are spread evenly, with some jitter so that replicas do not
// act in step. The user who registered last comes first, because it is the most likely to be
// reachable: a core that has forgotten its users knows only those who have registered again.
// It returns false when ctx ends.
func (w *worklist) workOffAll(ctx context.Context) bool {
	start, turns := time.Now(), 0
	for {
		began := time.Now()
		plan := w.plan()
		if len(plan) == 0 {
			break
		}
		until := time.Now().Add(max(planEvery, planShare*time.Since(began)))
		for _, t := range plan {
			at := float64(turns) + rand.Float64() //nolint:gosec // jitter
			if w.e.cfg.MessageRate > 0 && !queue.SleepUntil(ctx, start.Add(time.Duration(at/w.e.cfg.MessageRate*float64(time.Second)))) {
				return false
			}
			w.takeTurn(t, true)
			turns++
			if !time.Now().Before(until) {
				break
			}
		}
	}
	if turns > 0 {
		w.e.log.Info().Int("watchers", turns).Dur("took_ms", time.Since(start)).Msg("users whom the outage struck have had their turn")
	}
	return true
}

// plan lists the users who get a turn, in order. Users who only wait for a deadline go on at
// once.
func (w *worklist) plan() []turn {
	var all []turn
	for sh := range w.e.each {
		all = sh.waiting(w.e, all)
	}
	until := make(map[string]time.Time, len(all))
	for _, t := range all {
		until[t.aor] = w.e.dir.User(t.aor).Until
	}
	slices.SortFunc(all, func(a, b turn) int {
		return cmp.Or(until[b.aor].Compare(until[a.aor]), cmp.Compare(a.aor, b.aor))
	})
	return all
}

// waiting adds the users of a shard who may go on: those who lost a subscription, and those
// whose recovery was interrupted. The shard is locked.
func (sh *engineShard) waiting(e *Engine, all []turn) []turn {
	for aor, l := range sh.lost {
		if l.undecided {
			continue
		}
		if held := e.hold.Held(l.hop); !held || e.hold.GoAhead(l.hop) {
			all = append(all, turn{aor, held})
		}
	}
	for aor, u := range sh.users {
		if !u.parked && len(u.jobs) == 0 || sh.lost[aor] != nil {
			continue
		}
		switch held := e.outages.heldUp(u); {
		case held && (u.state.Phase == policy.Exhausted || !e.hold.GoAhead(e.outages.hopOf(u))):
		case !held && len(u.jobs) == 0 && (u.state.Phase == policy.Waiting || u.state.Phase == policy.Proving):
			e.worklist.goOn(sh, u)
		default:
			all = append(all, turn{aor, held})
		}
	}
	return all
}

// waitingByHop counts the users who wait for the end of a hold, by the hop that is held.
func (w *worklist) waitingByHop() map[string]int {
	n := make(map[string]int)
	for sh := range w.e.each {
		for _, l := range sh.lost {
			n[w.e.hold.JudgedBy(l.hop)]++
		}
		for _, u := range sh.users {
			if u.parked || len(u.jobs) > 0 {
				n[w.e.hold.JudgedBy(w.e.outages.hopOf(u))]++
			}
		}
	}
	return n
}

// takeTurn lets the recovery of one user go on, and tells the policy which subscriptions were
// lost: excused by an outage, or as the user's own failures after their verdict. Meanwhile they
// may have come back, or the hop may be held again.
func (w *worklist) takeTurn(t turn, excused bool) {
	var subs []policy.Broken
	hop := ""
	sh := w.e.shard(t.aor)
	sh.mu.Lock()
	if u := sh.users[t.aor]; u != nil {
		if u.ahead = u.ahead || t.ahead; !w.e.outages.heldUp(u) {
			w.goOn(sh, u)
		}
	}
	if l := sh.lost[t.aor]; l != nil && (t.ahead || !w.e.hold.Held(l.hop)) && excused != l.undecided {
		subs, hop = l.subs, l.hop
		w.e.outages.forgetLost(sh, t.aor)
	}
	sh.mu.Unlock()
	if len(subs) == 0 {
		return
	}
	for _, b := range subs {
		w.e.offer(t.aor, policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: b, Excused: excused}, hop)
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if u := sh.users[t.aor]; u != nil {
		u.ahead = u.ahead || t.ahead
	}
	w.e.outages.noteLost(sh, t.aor) // not before the policy knows them
}

// goOn lets a recovery that was kept back go on. The shard is locked.
func (w *worklist) goOn(sh *engineShard, u *engineUser) {
	jobs := u.jobs
	u.jobs = nil
	for _, k := range jobs {
		k.queue.Again(k.job)
	}
	if u.parked {
		u.parked = false
		w.waitAnew(sh, u)
	}
}

// waitAnew begins a wait that was interrupted anew, with its whole length, because nobody knows
// how much of it the watcher could have used. The shard is locked.
func (w *worklist) waitAnew(sh *engineShard, u *engineUser) {
	u.notBefore = time.Now().Add(w.rest(u))
	w.e.schedule(sh, u, u.state.Deadline)
}

// startWaitsAnew does so for the users behind a hop whose wait had not ended when the hold did.
func (w *worklist) startWaitsAnew(behind func(hop string) bool) {
	for sh := range w.e.each {
		for _, u := range sh.users {
			if !behind(w.e.outages.hopOf(u)) {
				continue
			}
			if u.ahead = false; !u.parked && w.rest(u) > 0 {
				w.waitAnew(sh, u)
			}
		}
	}
}

// rest is how long a wait that an outage interrupted goes on.
func (w *worklist) rest(u *engineUser) time.Duration {
	switch u.state.Phase {
	case policy.Waiting:
		return w.e.cfg.Rules.ResubscribeTimeout
	case policy.Proving:
		return w.e.cfg.Rules.ProofTimeout
	default:
		return 0
	}
}
