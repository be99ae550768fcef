package recovery

import (
	"net/netip"
	"slices"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/queue"
	"rewatch/policy"
	"rewatch/policy/outage"
)

// What a hold means for one user.

// lostWatcher is one whom an outage broke. What he lost is offered to the policy
// when the outage is over, unless he has come back by then.
type lostWatcher struct {
	hop  string // of the last failure
	subs []policy.Broken
}

// keptJob is a request that waits for the end of a hold.
type keptJob struct {
	queue *queue.Queue
	job   queue.Job
}

// Failed takes a NOTIFY that failed: its user's trouble, or that of an outage.
func (e *Engine) Failed(f dialogs.Failure) {
	hop := hopName(f.Hop)
	outage := e.hold.failed(&f, hop)
	if f.Witness {
		return
	}
	e.clients.Change(f.Event.Sub.Agent, func(c *Client) { c.Failures++ })
	if outage {
		e.lose(&f, hop)
		return
	}
	e.offer(f.AOR, f.Event, hop)
	// The outage may have been noticed meanwhile, and the others excused.
	if since, held := e.hold.began(hop); held {
		e.Offer(f.AOR, policy.Event{Kind: policy.Excuse, At: f.Event.At, Since: since})
	}
}

// Passed takes the NOTIFYs that got through over a next hop.
func (e *Engine) Passed(at time.Time, hop netip.AddrPort, n int) {
	e.hold.passed(at, hopName(hop), n)
}

// evidence is what the MESSAGE to one whom an outage broke tells of the hop. If
// the core fell silent again nothing else may tell, because the server sends no
// NOTIFY where every subscription is gone.
func (e *Engine) evidence(aor string, a policy.Action, sent time.Time, res dialogs.Result) {
	if !a.Excused {
		return
	}
	sh := e.shard(aor)
	sh.mu.Lock()
	hop := ""
	if u := sh.users[aor]; u != nil {
		hop = u.state.Hop
	}
	sh.mu.Unlock()
	e.hold.answered(aor, hop, sent, !stumbled(res))
}

// lose remembers what an outage broke. It is nothing where subscribing again is
// pointless, and where the watcher has done so already.
func (e *Engine) lose(f *dialogs.Failure, hop string) {
	if f.Event.Pointless || f.Superseded {
		return
	}
	sh := e.shard(f.AOR)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l := sh.lost[f.AOR]
	switch {
	case l == nil && e.lost.Load() >= int64(e.cfg.MaxUsers),
		l != nil && len(l.subs) >= policy.MaxBroken:
		e.metrics.dropped.Inc()
		return
	case l == nil:
		l = new(lostWatcher)
		sh.lost[f.AOR] = l
		e.lost.Add(1)
	}
	l.hop = hop
	l.subs = append(l.subs, f.Event.Sub)
	e.noteLost(sh, f.AOR)
	if !e.hold.held(hop) {
		queue.Signal(e.hold.released) // it came late
	}
}

// backByHimself strikes off what was lost of a user who needs no help any more.
// The shard is locked.
func (e *Engine) backByHimself(sh *engineShard, aor string, ev policy.Event) {
	l := sh.lost[aor]
	if l == nil {
		return
	}
	switch ev.Kind {
	case policy.Subscribed, policy.NotifyOK, policy.LateOK, policy.Ended:
		if ev.Kind == policy.LateOK && !ev.Alive {
			return // a core that is back empties its queues; the server has given up long since
		}
		l.subs = slices.DeleteFunc(l.subs, func(b policy.Broken) bool {
			switch {
			case !b.Kin(ev.Sub):
				return false
			case ev.Kind == policy.Subscribed:
				return !b.SameDialog(ev.Sub)
			case ev.Kind == policy.NotifyOK:
				return b.CallID != ev.Sub.CallID
			default:
				return b.SameDialog(ev.Sub)
			}
		})
	case policy.Deregistered, policy.Reset:
		l.subs = nil
	default:
		return
	}
	e.noteLost(sh, aor)
	if len(l.subs) == 0 {
		e.found(sh, aor)
	}
}

// found forgets what an outage broke of a user. The shard is locked.
func (e *Engine) found(sh *engineShard, aor string) {
	delete(sh.lost, aor)
	e.lost.Add(-1)
}

// excuse tells the policy of an outage, for each user of the shard whom it may
// have struck.
func (e *Engine) excuse(sh *engineShard, c outage.Change) {
	ev := policy.Event{Kind: policy.Excuse, At: c.At, Since: c.Since}
	for _, aor := range sh.behind(c.Scope) {
		sh.mu.Lock()
		if u := sh.users[aor]; u != nil {
			e.decide(sh, u, ev)
		}
		sh.mu.Unlock()
	}
}

// behind lists the users whose trouble came over a hop, or all.
func (sh *engineShard) behind(scope string) []string {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var aors []string
	for aor, u := range sh.users {
		if scope == outage.Overall || u.state.Hop == scope {
			aors = append(aors, aor)
		}
	}
	return aors
}

// park keeps the Tick of a recovery back while its hop is held, and says whether
// it did. The shard is locked.
func (e *Engine) park(u *engineUser, now time.Time) bool {
	switch u.state.Phase {
	case policy.Gathering, policy.Waiting, policy.Proving:
	case policy.Exhausted:
		if u.state.SignedOut || u.state.Kept || over(u.state, now) {
			return false
		}
	case policy.Idle, policy.Notifying:
		return false
	}
	if !e.hold.held(u.state.Hop) {
		return false
	}
	u.parked = true
	return true
}

// hesitation is how often a user is looked at again for whom it is too early, hush how
// long his MESSAGE may be put off.
const (
	hesitation = 500 * time.Millisecond
	hush       = 2 * time.Second
)

// hesitate says whether the Tick of a user would give him up while others fail as
// well, or send him a MESSAGE while nobody is heard any more: it is an outage perhaps,
// which is noticed within its window, or in a moment, if it is one. The shard is locked.
func (e *Engine) hesitate(u *engineUser, now time.Time) bool {
	switch u.state.Phase {
	case policy.Gathering, policy.Waiting:
	case policy.Idle, policy.Notifying, policy.Proving, policy.Exhausted:
		return false
	}
	late, hop := now.Sub(u.state.Deadline), u.state.Hop
	hushed := late < hush && e.hold.hushed(now, hop)
	suspect := late < e.hold.window && e.hold.suspect(now, hop)
	if !hushed && !suspect {
		return false
	}
	next, _ := policy.Decide(e.cfg.Rules, u.state, policy.Event{Kind: policy.Tick, At: now})
	return suspect && next.Phase == policy.Exhausted || hushed && next.Phase == policy.Notifying
}

// keepBack keeps a request back while the user's hop is held, and says whether it
// did.
func (e *Engine) keepBack(aor string, q *queue.Queue, j queue.Job) bool {
	sh := e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[aor]
	if u == nil || !e.hold.held(u.state.Hop) {
		return false
	}
	u.jobs = append(u.jobs, keptJob{q, j})
	return true
}
