package recovery

import (
	"slices"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/count"
	"rewatch/dialogs/recovery/ladder"
	"rewatch/policy"
)

// perform does what was decided. The state that led to it is saved.
func (e *Engine) perform(sh *engineShard, u *engineUser, c change) {
	e.logChange(u.aor, c)
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
		e.dryly(count.DryBan)
		e.about(u.aor, a).Info().Time("until", a.Until).Msg("user banned")
		e.reports.recordBan(u.aor, a)
	case policy.EndBan:
		e.about(u.aor, a).Info().Msg("ban ended")
	case policy.RaiseAlarm:
		e.dryly(count.DryAlarm)
		e.alarms.raiseFor(u.aor, a, ev.At)
	case policy.ClearAlarm:
		e.alarms.Clear(a.Alarm, u.aor, ev.At)
	case policy.Transmit: // whoever asked sends it
	case policy.Returned:
		e.Returned(a.Broken[0].Agent, a.By)
		e.about(u.aor, a).Debug().Stringer("by", a.By).Msg("client is back")
	case policy.Recovered, policy.GaveUp, policy.Abandoned:
		e.count(u.aor, a, ev)
	}
}

// count counts an episode that has ended.
func (e *Engine) count(aor string, a policy.Action, ev policy.Event) {
	result := ladder.Endings[a.Kind]
	e.metrics.recoveries.WithLabelValues(result).Inc()
	if a.Kind == policy.Recovered {
		e.metrics.seconds.Observe(a.Took.Seconds())
	}
	e.about(aor, a).Info().Dur("took_ms", a.Took).Str("reason", reasonOf(ev)).Str("result", result).Msg("recovery ended")
}

// about is the logger for what is done about a user.
func (e *Engine) about(aor string, a policy.Action) *zerolog.Logger {
	log := e.log.With().Str("watcher", aor).Int("attempt", a.Attempt).Logger()
	return &log
}

// logChange tells of a change of phase, and of every failure.
func (e *Engine) logChange(aor string, c change) {
	if c.from == c.to && c.event.Kind != policy.NotifyFailed {
		return
	}
	line := e.log.Info().Str("watcher", aor).
		Stringer("from", c.from).Stringer("phase", c.to).
		Int("attempt", c.sent).Str("reason", reasonOf(c.event))
	if sub := c.event.Sub; sub.CallID != "" {
		line = line.Str("call_id", sub.CallID).Str("event", sub.Event).Str("resource", sub.Resource)
	}
	line.Msg("recovery")
}

func reasonOf(ev policy.Event) string {
	if ev.Kind == policy.NotifyFailed && ev.Sub.Cause != "" {
		return ev.Sub.Cause
	}
	return ev.Kind.String()
}

// note adds a request of ours, or its response, to the ladder.
func (e *Engine) note(aor, from, to, what string) {
	e.ladders.Add(aor, dialogs.Step{At: time.Now(), From: from, To: to, What: what})
}
