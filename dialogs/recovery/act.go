package recovery

import (
	"slices"

	"rewatch/dialogs/count"
	"rewatch/policy"
)

// perform does what was decided. The state that led to it is saved.
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
		sh.mu.Lock()
		u.messaging = true
		sh.mu.Unlock()
		e.messenger.push(sh, u, a, ev)
	case policy.DoDeregister:
		sh.mu.Lock()
		already := u.signingOut
		u.signingOut = true
		sh.mu.Unlock()
		if !already { // else the outcome of that one serves
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
		e.alarms.raiseFor(u.aor, a, ev.At)
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
