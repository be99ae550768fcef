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

// What happens when an outage is over: everybody whom it broke is worked off, one
// after the other.

// workOff waits for the end of outages and works off what they left.
func (h *hold) workOff(ctx context.Context) {
	for {
		select {
		case <-h.released:
		case <-ctx.Done():
			return
		}
		if !h.e.workOff(ctx) {
			return
		}
	}
}

// planEvery is how often it is planned anew who comes next, planShare what part of
// the time that may cost at most.
const (
	planEvery = time.Second
	planShare = 10
)

// workOff gives everybody his turn whose hop is not held. A core that has just
// come back must not be overrun, so the turns are spread evenly, with some jitter
// so that replicas do not beat in time. He who has registered last comes first, for
// he is the most likely to be there: where the core has forgotten its users, they
// get their turn when they have registered again. It returns false when ctx ends.
func (e *Engine) workOff(ctx context.Context) bool {
	start, turns := time.Now(), 0
	for {
		began := time.Now()
		plan := e.plan()
		if len(plan) == 0 {
			break
		}
		until := time.Now().Add(max(planEvery, planShare*time.Since(began)))
		for _, aor := range plan {
			turn := float64(turns) + rand.Float64() //nolint:gosec // jitter
			if e.cfg.MessageRate > 0 && !queue.SleepUntil(ctx, start.Add(time.Duration(turn/e.cfg.MessageRate*float64(time.Second)))) {
				return false
			}
			e.takeTurn(aor)
			turns++
			if !time.Now().Before(until) {
				break
			}
		}
	}
	if turns > 0 {
		e.log.Info().Int("watchers", turns).Dur("took_ms", time.Since(start)).Msg("what the outage left is worked off")
	}
	return true
}

// plan lists the users to be worked off, in order. Those who only wait for the
// rest of their time go on at once.
func (e *Engine) plan() []string {
	var all []string
	for i := range e.shards {
		all = e.shards[i].waiting(e, all)
	}
	until := make(map[string]time.Time, len(all))
	for _, aor := range all {
		until[aor] = e.dir.User(aor).Until
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(until[b].Compare(until[a]), cmp.Compare(a, b))
	})
	return all
}

// waiting adds the users of a shard whose hop is not held (any more): who lost
// something, and whose recovery was interrupted.
func (sh *engineShard) waiting(e *Engine, all []string) []string {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for aor, l := range sh.lost {
		if !e.hold.held(l.hop) {
			all = append(all, aor)
		}
	}
	for aor, u := range sh.users {
		switch {
		case !u.parked && len(u.jobs) == 0 || e.hold.held(u.state.Hop):
		case len(u.jobs) == 0 && (u.state.Phase == policy.Waiting || u.state.Phase == policy.Proving):
			e.goOn(sh, u)
		case sh.lost[aor] == nil:
			all = append(all, aor)
		}
	}
	return all
}

// takeTurn lets the recovery of one user go on, and tells the policy what he lost.
// He may have come back while he waited for his turn, or the outage may have.
func (e *Engine) takeTurn(aor string) {
	var subs []policy.Broken
	hop := ""
	sh := e.shard(aor)
	sh.mu.Lock()
	if u := sh.users[aor]; u != nil && !e.hold.held(u.state.Hop) {
		e.goOn(sh, u)
	}
	if l := sh.lost[aor]; l != nil && !e.hold.held(l.hop) {
		subs, hop = l.subs, l.hop
		e.found(sh, aor)
	}
	sh.mu.Unlock()
	if len(subs) == 0 {
		return
	}
	for _, b := range subs {
		e.offer(aor, policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: b, Excused: true}, hop)
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e.noteLost(sh, aor) // not before: who is forgotten there has to be known to the policy
}

// goOn lets a recovery that was kept back go on. The shard is locked.
func (e *Engine) goOn(sh *engineShard, u *engineUser) {
	jobs := u.jobs
	u.jobs = nil
	for _, k := range jobs {
		k.queue.Again(k.job)
	}
	if !u.parked {
		return
	}
	u.parked = false
	u.notBefore = time.Now().Add(e.rest(u))
	e.schedule(sh, u, u.state.Deadline)
}

// rest is how long a wait that an outage interrupted goes on: for the whole of it,
// because nobody knows how much of it the watcher could have used.
func (e *Engine) rest(u *engineUser) time.Duration {
	switch u.state.Phase {
	case policy.Waiting:
		return e.cfg.Rules.ResubscribeTimeout
	case policy.Proving:
		return e.cfg.Rules.ProofTimeout
	default:
		return 0
	}
}
