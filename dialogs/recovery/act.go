package recovery

import (
	"context"
	"slices"
	"time"

	"rewatch/dialogs/count"
	"rewatch/dialogs/recovery/queue"
	"rewatch/policy"
)

// perform carries out a decision. The state that it led to is saved.
func (e *Engine) perform(sh *engineShard, u *engineUser, c change) {
	e.reports.logChange(u.aor, c)
	for _, a := range c.actions {
		e.act(sh, u, a, c.event)
	}
	if c.turn != nil {
		c.turn <- slices.ContainsFunc(c.actions, func(a policy.Action) bool { return a.Kind == policy.Transmit })
	}
}

func (e *Engine) act(sh *engineShard, u *engineUser, a policy.Action, ev policy.Event) {
	switch a.Kind {
	case policy.SendMessage:
		sh.locked(func() { u.messaging = true })
		e.messenger.push(sh, u, a, ev)
	case policy.DoDeregister:
		already := false
		sh.locked(func() { already, u.signingOut = u.signingOut, true })
		if !already { // else the outcome of the earlier one serves
			e.deregistrar.push(sh, u, a)
		}
	case policy.StartBan:
		e.reports.dryly(count.DryBan)
		e.reports.about(u.aor, a).Info().Time("until", a.Until).Msg("user banned")
		e.reports.recordBan(u.aor, a)
	case policy.EndBan:
		e.reports.about(u.aor, a).Info().Msg("ban ended")
	case policy.RaiseAlarm:
		e.reports.dryly(count.DryAlarm)
		e.alarms.Raise(e.alarms.alarmOf(u.aor, a, ev.At))
	case policy.ClearAlarm:
		e.alarms.Clear(a.Alarm, u.aor, ev.At)
	case policy.Transmit: // whoever asked sends it
	case policy.Returned:
		e.Returned(a.Broken[0].Agent, a.By)
		e.reports.about(u.aor, a).Debug().Stringer("by", a.By).Msg("client is back")
	case policy.Recovered, policy.GaveUp, policy.Abandoned:
		e.reports.count(u.aor, a, ev)
	}
}

// The labels of the queues.
const (
	queueMessage    = "message"
	queueDeregister = "deregister"
)

// push queues a MESSAGE. If the queue is full, the MESSAGE is not sent, which is no fault
// of the user's: the strike is given back, and the next Tick tries again.
func (m *messenger) push(sh *engineShard, u *engineUser, a policy.Action, ev policy.Event) {
	aor := u.aor
	if m.e.messages.Push(queue.Job{
		Ready: func(j queue.Job) bool { return !m.e.outages.keepBack(aor, m.e.messages, j) },
		Run:   func(ctx context.Context) { m.tell(ctx, aor, a) },
	}) {
		return
	}
	m.e.metrics.queueFull.WithLabelValues(queueMessage).Inc()
	m.e.reports.about(aor, a).Warn().Msg("MESSAGE not sent: too many are waiting")
	m.told(aor, a, policy.ByUnknown, settled, true)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	m.e.decide(sh, u, policy.Event{Kind: policy.Excuse, At: time.Now(), Since: charged(u.state, ev)})
}

// charged is when the MESSAGE that an event led to was counted. That is before the event
// if a restart has interrupted the MESSAGE.
func charged(s policy.State, ev policy.Event) time.Time {
	if n := len(s.Strikes); n > 0 && s.Strikes[n-1].Before(ev.At) {
		return s.Strikes[n-1]
	}
	return ev.At
}

// push queues a de-REGISTER, at once or after the hold-down. A full queue counts as a try
// that failed: the policy tries again later.
func (r *deregistrar) push(sh *engineShard, u *engineUser, a policy.Action) {
	aor := u.aor
	push := func() {
		if r.e.signOuts.Push(queue.Job{
			Ready: func(j queue.Job) bool { return r.mayGo(aor, a, j) },
			Run:   func(ctx context.Context) { r.signOut(ctx, aor, a) },
		}) {
			return
		}
		r.e.metrics.queueFull.WithLabelValues(queueDeregister).Inc()
		r.e.reports.about(aor, a).Warn().Msg("de-REGISTER not sent: too many are waiting")
		r.e.settle(aor, policy.Event{Kind: policy.DeregisterFailed})
	}
	wait := r.heldDown(aor, a)
	if wait <= 0 {
		push()
		return
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	// Not under the lock of the shard: a full queue is told to the policy.
	u.signOut, u.signOutAt = func() { r.e.clocking.Go(push) }, time.Now().Add(wait)
	r.e.schedule(sh, u, u.state.Deadline)
}

// heldDown is how long the sign-out of a user who flaps waits (package holddown).
func (r *deregistrar) heldDown(aor string, a policy.Action) time.Duration {
	wait, times := r.e.flaps.Wait(aor, a.Episode, a.Try, time.Now())
	if times > 0 {
		r.e.metrics.flaps.Inc()
		r.e.reports.about(aor, a).Warn().Int("times", times).Dur("hold_down_ms", wait).
			Msg("user flaps between registration and giving up; not signed out for a while")
		r.e.reports.note(aor, atRewatch, atRewatch, "flapping: not de-registered for "+wait.String())
	}
	return wait
}

// timely begins the sign-out that was put off, if its time has come. The shard is locked.
func (u *engineUser) timely(now time.Time) {
	if u.signOut != nil && !now.Before(u.signOutAt) {
		push := u.signOut
		u.signOut = nil
		push()
	}
}

// over says whether the ban of a user in Exhausted has ended, or the user is to be forgotten.
func over(s policy.State, now time.Time) bool {
	due := first(s.BannedUntil, s.ForgetAt)
	return !due.IsZero() && !now.Before(due)
}

// first is the earlier of two times, of which either may be unset.
func first(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
