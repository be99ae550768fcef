package recovery

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/hold"
	"rewatch/dialogs/recovery/queue"
	"rewatch/policy"
	"rewatch/policy/outage"
)

// outages carry out for each user what a hold means. It implements hold.Users.
type outages struct{ e *Engine }

// HoldBegan implements hold.Users: the users who were struck before the outage was noticed are
// excused, and failures that wait for a verdict wait for the end of the hold.
func (o *outages) HoldBegan(r outage.Record, doubted []string) {
	for _, aor := range doubted {
		o.heldToo(aor)
	}
	for i := range o.e.shards {
		o.excuse(&o.e.shards[i], r)
	}
}

// HoldEnded implements hold.Users: waits that the hold has interrupted begin anew.
func (o *outages) HoldEnded(ended string) {
	o.e.worklist.startWaitsAnew(func(hop string) bool { return o.e.hold.JudgedBy(hop) == ended })
}

// HandEnded implements hold.Users.
func (o *outages) HandEnded() {
	o.e.worklist.startWaitsAnew(func(hop string) bool { return !o.e.hold.Held(hop) })
}

// Judged implements hold.Users.
func (o *outages) Judged(proven, held []string) {
	for _, aor := range held {
		o.heldToo(aor)
	}
	for _, aor := range proven {
		o.e.worklist.takeTurn(turn{aor: aor}, false)
	}
}

// Waiting implements hold.Users.
func (o *outages) Waiting() map[string]int { return o.e.worklist.waitingByHop() }

// Lost implements hold.Users.
func (o *outages) Lost() int64 { return o.e.lost.Load() }

// lostWatcher is a watcher whose failures wait for their verdict, or for the end of the outage
// that caused them. Then they are offered to the policy, unless the watcher has come back.
type lostWatcher struct {
	hop       string // of the last failure
	subs      []policy.Broken
	undecided bool // the failures wait for a verdict
	size      int  // in bytes, as it is counted in Engine.bytes
}

// keptJob is a request that waits for the end of a hold.
type keptJob struct {
	queue *queue.Queue
	job   queue.Job
}

// Failed implements dialogs.Recovery: a NOTIFY failed, because of its user or of an outage.
func (e *Engine) Failed(f dialogs.Failure) {
	hop := hold.Name(f.Hop)
	if f.Unsent {
		hop = e.hold.HopOf(f.Hop)
	}
	verdict := e.hold.Failed(&f, hop)
	if f.Witness {
		return
	}
	e.clients.Change(f.Event.Sub.Agent, func(c *Client) { c.Failures++ })
	switch verdict {
	case outage.Outage:
		e.outages.lose(&f, hop, false)
		return
	case outage.Ask, outage.Wait:
		e.outages.lose(&f, hop, true)
		return
	case outage.Proven, outage.Unproven:
	}
	e.blame(f, hop)
}

// blame offers a failure to the policy that speaks against its user. If a hold has begun since
// the failure was judged, this user is excused like the others.
func (e *Engine) blame(f dialogs.Failure, hop string) {
	e.offer(f.AOR, f.Event, hop)
	if since, held := e.hold.Began(hop); held {
		e.Offer(f.AOR, policy.Event{Kind: policy.Excuse, At: f.Event.At, Since: since})
	}
}

// Passed implements dialogs.Recovery: requests got through over a next hop.
func (e *Engine) Passed(at time.Time, hop netip.AddrPort, got outage.Passes) {
	e.hold.Passed(at, hop, hold.Name(hop), got)
}

// Heard implements dialogs.Recovery: requests came from a neighbour on the core side.
func (e *Engine) Heard(at time.Time, source netip.AddrPort, got outage.Passes) {
	e.hold.Heard(at, source, got)
}

// MayTry says whether a NOTIFY that is kept for its phone may be sent over a hop now: always
// if the hop is not held, and a few times if a held hop has answered OPTIONS.
func (e *Engine) MayTry(hop netip.AddrPort) bool {
	name := hold.Name(hop)
	return !e.hold.Held(name) || e.hold.GoAhead(name)
}

// lose remembers a subscription that was lost, unless subscribing again is pointless or the
// watcher has done so already.
func (o *outages) lose(f *dialogs.Failure, hop string, undecided bool) {
	if f.Event.Pointless || f.Superseded {
		return
	}
	sh := o.e.shard(f.AOR)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l := sh.lost[f.AOR]
	switch {
	case l == nil && (o.e.lost.Load() >= int64(o.e.cfg.MaxUsers) || o.e.room.crowded(false)),
		l != nil && (len(l.subs) >= policy.MaxBroken || l.size > policy.MaxBrokenText || o.e.room.crowded(l.size > modest)):
		o.e.metrics.dropped.Inc()
		return
	case l == nil:
		l = &lostWatcher{undecided: true}
		sh.lost[strings.Clone(f.AOR)] = l
		o.e.lost.Add(1)
	}
	l.hop, l.undecided = hop, l.undecided && undecided
	l.subs = append(l.subs, f.Event.Sub)
	l.weigh(o.e, f.AOR)
	o.noteLost(sh, f.AOR)
	if !undecided && !o.e.hold.Held(hop) {
		o.e.hold.Release() // it came late
	}
}

// noteLost has the Journal remember which subscriptions of a user an outage broke. The shard is
// locked.
func (o *outages) noteLost(sh *engineShard, aor string) {
	if o.e.noting {
		sh.lostNotes[aor] = struct{}{}
	}
}

// heldToo decides that an outage has caused the failures of a user that wait for a verdict.
func (o *outages) heldToo(aor string) {
	sh := o.e.shard(aor)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if l := sh.lost[aor]; l != nil {
		l.undecided = false
		o.e.hold.Release()
	}
}

// heardOf takes note of an event of a user who lost subscriptions: those that have come back
// are removed from the list, and a user who is reached over another hop no longer waits for
// the old one. The shard is locked.
func (o *outages) heardOf(sh *engineShard, aor string, ev policy.Event) {
	if u := sh.users[aor]; u != nil && ev.Hop != "" && (ev.Kind == policy.NotifyOK || ev.Kind == policy.Subscribed) {
		o.reachedBy(u, ev.Hop)
	}
	l := sh.lost[aor]
	if l == nil {
		return
	}
	switch ev.Kind {
	case policy.Subscribed, policy.NotifyOK, policy.LateOK, policy.Ended:
		if ev.Kind == policy.LateOK && !ev.Alive {
			return // a core that is back empties its queues, but the server has given up
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
	if ev.Hop != "" && ev.Hop != l.hop && !o.e.hold.Held(ev.Hop) {
		l.hop = ev.Hop
		o.e.hold.Release()
	}
	l.weigh(o.e, aor)
	o.noteLost(sh, aor)
	if len(l.subs) == 0 {
		o.forgetLost(sh, aor)
	}
}

// reachedBy notes that a user is reached over another hop than the held one. The shard is
// locked.
func (o *outages) reachedBy(u *engineUser, hop string) {
	if hop != o.hopOf(u) && o.e.hold.Held(o.hopOf(u)) && !o.e.hold.Held(hop) {
		u.hop = hop
		o.e.hold.Release()
	}
}

// hopOf is the next hop that a user is reached over.
func (o *outages) hopOf(u *engineUser) string {
	return cmp.Or(u.hop, u.state.Hop)
}

// heldUp says whether a user waits for the end of a hold. The shard is locked.
func (o *outages) heldUp(u *engineUser) bool { return !u.ahead && o.e.hold.Held(o.hopOf(u)) }

// forgetLost forgets which subscriptions a user lost. The shard is locked.
func (o *outages) forgetLost(sh *engineShard, aor string) {
	o.e.bytes.Add(-int64(sh.lost[aor].size))
	delete(sh.lost, aor)
	o.e.lost.Add(-1)
}

// excuse tells the policy of an outage, for each user of the shard that it may have struck.
func (o *outages) excuse(sh *engineShard, r outage.Record) {
	ev := policy.Event{Kind: policy.Excuse, At: r.At, Since: r.Since}
	for _, aor := range sh.behind(o.e, r.Hop) {
		o.e.with(aor, func(sh *engineShard, u *engineUser) {
			u.ahead = false
			o.e.decide(sh, u, ev)
		})
	}
}

// behind lists the users that are reached over the hops that a record is about.
func (sh *engineShard) behind(e *Engine, hop string) []string {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var aors []string
	for aor, u := range sh.users {
		if e.hold.JudgedBy(e.outages.hopOf(u)) == hop {
			aors = append(aors, aor)
		}
	}
	return aors
}

// park keeps the Tick of a user back while its hop is held, and says whether it did. The shard
// is locked.
func (o *outages) park(u *engineUser, now time.Time) bool {
	switch u.state.Phase {
	case policy.Gathering, policy.Waiting, policy.Proving:
	case policy.Exhausted:
		if u.state.SignedOut || u.state.StaysRegistered || over(u.state, now) {
			return false
		}
	case policy.Idle, policy.Notifying:
		return false
	}
	if !o.heldUp(u) {
		return false
	}
	u.parked = true
	return true
}

// tryAgain is the pause before a user is looked at again whose path is not proven.
const tryAgain = 250 * time.Millisecond

// unproven says whether the Tick would count a further MESSAGE against a user, or give it up,
// although the path may be at fault. The shard is locked.
func (o *outages) unproven(u *engineUser, now time.Time) bool {
	if u.state.Excused || u.state.Phase != policy.Gathering && u.state.Phase != policy.Waiting {
		return false
	}
	next, _ := policy.Decide(o.e.cfg.Rules, u.state, policy.Event{Kind: policy.Tick, At: now})
	blames := next.Phase == policy.Exhausted || next.Phase == policy.Notifying && u.state.Phase == policy.Waiting
	return blames && !o.e.hold.MayBlame(now, o.hopOf(u), u.aor, u.state.Messaged)
}

// keepBack keeps a request back while the user's hop is held, and says whether it did.
func (o *outages) keepBack(aor string, q *queue.Queue, j queue.Job) (kept bool) {
	o.e.with(aor, func(_ *engineShard, u *engineUser) {
		if kept = o.heldUp(u); kept {
			u.jobs = append(u.jobs, keptJob{q, j})
		}
	})
	return kept
}

// outcome tells the hold what became of a request to a user, and says whether the path to the
// user is proven to work.
func (o *outages) outcome(ctx context.Context, aor string, sent time.Time, res dialogs.Result) bool {
	hop := ""
	o.e.with(aor, func(_ *engineShard, u *engineUser) { hop = o.hopOf(u) })
	switch {
	case inconclusive(res) || ctx.Err() != nil:
		return false
	case res.OK() || messageResult(res) == resultUnsupported:
		o.e.hold.Through(hop, aor)
		return true
	default:
		return o.e.hold.Prove(ctx, outage.Try{
			Hop: hop, User: dialogs.UserID(aor), Sent: sent, At: time.Now(), Refused: !stumbled(res), Final: true,
		})
	}
}
