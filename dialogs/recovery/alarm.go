package recovery

import (
	"fmt"
	"time"

	"rewatch/dialogs/count"
	"rewatch/dialogs/store"
	"rewatch/policy"
	"rewatch/policy/alarm"
)

// The alarm of a store that cannot be reached, and what it is about.
const (
	alarmStore  = "store-unavailable"
	storeObject = "state-store"
)

// The alarms of outages and of too many de-REGISTERs, and what these are about.
const (
	alarmOutage   = "core-outage"
	alarmCap      = "deregister-cap"
	overallObject = "core"
	capObject     = "deregister"
)

// kinds has the fields of X.733 that are the same for every alarm of a name.
var kinds = map[string]alarm.Alarm{
	policy.AlarmExhausted: {
		EventType: "qualityOfService", ProbableCause: "thresholdCrossed", Severity: alarm.Minor,
	},
	policy.AlarmBanned: {
		EventType: "qualityOfService", ProbableCause: "thresholdCrossed", Severity: alarm.Warning,
	},
	policy.AlarmDeregisterFailed: {
		EventType: "communications", ProbableCause: "communicationsProtocolError", Severity: alarm.Major,
	},
	alarmOutage: {
		EventType: "communications", ProbableCause: "communicationsSubsystemFailure", Severity: alarm.Critical,
	},
	alarmCap: {
		EventType: "qualityOfService", ProbableCause: "thresholdCrossed", Severity: alarm.Major,
	},
	alarmStore: {
		EventType: "processingError", ProbableCause: "underlyingResourceUnavailable", Severity: alarm.Major,
	},
}

func newAlarm(name, object, text string, at time.Time) alarm.Alarm {
	a := kinds[name]
	a.Name, a.Object, a.Text, a.RaisedAt = name, object, text, at
	return a
}

// raise raises an alarm about a user.
func (e *Engine) raise(aor string, a policy.Action, at time.Time) {
	raised := e.alarmOf(aor, a, at)
	e.about(aor, a).Info().Str("alarm", a.Alarm).Str("text", raised.Text).Msg("alarm raised")
	e.alarms.Raise(raised)
}

// restoreAlarms takes up the alarms of a user that an earlier process has raised. Those
// of which it told nobody are in the Journal as well.
func (e *Engine) restoreAlarms(r store.Record) {
	for _, a := range remembered(r.State) {
		e.alarms.Adopt(e.alarmOf(r.AOR, a.Action, a.At))
	}
}

// entries are what is kept together with a decision: the alarms that it raises and
// clears, until everybody has been told, and what came with its events.
func (e *Engine) entries(aor string, d draft) []store.Entry {
	if !e.noting {
		return nil
	}
	var entries []store.Entry
	for _, c := range d.changes {
		for _, a := range c.actions {
			switch a.Kind {
			case policy.RaiseAlarm:
				entries = append(entries, alarmEntries(e.alarmOf(aor, a, c.event.At), false)...)
			case policy.ClearAlarm:
				cleared := e.alarmOf(aor, a, a.RaisedAt)
				cleared.ClearedAt = &c.event.At
				entries = append(entries, alarmEntries(cleared, false)...)
			default:
			}
		}
	}
	return entries
}

func (e *Engine) alarmOf(aor string, a policy.Action, at time.Time) alarm.Alarm {
	return newAlarm(a.Alarm, aor, e.textOf(a), at)
}

func (e *Engine) textOf(a policy.Action) string {
	switch a.Alarm {
	case policy.AlarmBanned:
		return fmt.Sprintf("user refused for %s after %d MESSAGEs%s", e.cfg.Rules.Ban, a.Attempt, lostOf(a))
	case policy.AlarmDeregisterFailed:
		return "user could not be de-registered" + lostOf(a)
	default:
		return fmt.Sprintf("user given up after %d MESSAGEs (%s)%s", a.Attempt, e.cfg.Rules.OnThreshold, lostOf(a))
	}
}

// lostOf names the first subscription that is lost, and counts the others.
func lostOf(a policy.Action) string {
	if len(a.Broken) == 0 {
		return ""
	}
	first := a.Broken[0]
	text := fmt.Sprintf("; lost: %s of %s, %s", first.Event, first.Resource, first.Cause)
	if n := len(a.Broken) - 1 + a.More; n > 0 {
		text += fmt.Sprintf(", and %d more", n)
	}
	return text
}

// storeFailed raises the alarm when the store begins to fail, and says whether that
// was news.
func (e *Engine) storeFailed(aor string, err error) bool {
	if e.storeAway.Swap(true) {
		return false
	}
	e.log.Error().Err(err).Str("watcher", aor).Msg("state store unavailable; nobody is de-registered")
	e.alarms.Raise(newAlarm(alarmStore, storeObject, "state cannot be saved: "+err.Error(), time.Now()))
	return true
}

// storeBack clears it when a save has gone well again.
func (e *Engine) storeBack() {
	if e.storeAway.Load() && e.storeAway.Swap(false) {
		e.log.Info().Msg("state store available again")
		e.alarms.Clear(alarmStore, storeObject, time.Now())
	}
}

// silentAlarms are those of a dry run: the log tells of them, nobody else does.
type silentAlarms struct{}

func (silentAlarms) Raise(alarm.Alarm) {}

func (silentAlarms) Clear(string, string, time.Time) {}

func (silentAlarms) Adopt(alarm.Alarm) {}

func (silentAlarms) Release(string, string) {}

// capBites raises or clears the alarm of the cap.
func (e *Engine) capBites(bites bool) {
	if !bites {
		e.log.Info().Msg("de-REGISTERs are below the hourly cap again")
		e.alarms.Clear(alarmCap, capObject, time.Now())
		return
	}
	text := fmt.Sprintf("%d de-REGISTERs in an hour, which is the cap; others wait", e.cfg.DeregisterCap)
	e.log.Warn().Int("cap", e.cfg.DeregisterCap).Msg("hourly cap of de-REGISTERs reached")
	e.dryly(count.DryAlarm)
	e.alarms.Raise(newAlarm(alarmCap, capObject, text, time.Now()))
}
