package recovery

import (
	"fmt"
	"sync/atomic"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/count"
	"rewatch/dialogs/recovery/alarmlog"
	"rewatch/dialogs/store"
	"rewatch/policy"
	"rewatch/policy/alarm"
)

// What the alarms are about that concern no user.
const (
	storeObject = "state-store"
	capObject   = "deregister"
)

// alarmBook raises and clears the alarms of an Engine.
type alarmBook struct {
	dialogs.Alarms
	e *Engine
	// storeAway: the store takes nothing. nothingWaits: that was found out by a ping or a
	// sync, so no Save waits for a retry.
	storeAway, nothingWaits atomic.Bool
}

// restore makes the alarms of a user active that an earlier process raised. Those that the
// receivers have not been told of are in the Journal as well.
func (b *alarmBook) restore(r store.Record) {
	for _, a := range remembered(r.State) {
		b.Adopt(b.alarmOf(r.AOR, a.Action, a.At))
	}
	a := policy.Action{Attempt: r.State.Sent, Broken: r.State.Broken, More: r.State.More}
	switch {
	case r.State.SignedOut:
		b.came(r.AOR, a, "signed out")
	case r.State.StaysRegistered:
		b.came(r.AOR, a, "stays registered")
	}
}

// came adds to the alarm of a user who was given up what became of the sign-out.
func (b *alarmBook) came(aor string, a policy.Action, how string) {
	b.Amend(policy.AlarmExhausted, aor, givenUpText(a)+"; "+how)
}

// measure says in the alarm what will be done to a user who is given up.
func (b *alarmBook) measure(aor string) string {
	switch c := &b.e.cfg; {
	case c.Rules.OnThreshold == policy.Unsubscribe:
		return "the subscription ends and the user stays registered"
	case c.sacred(aor):
		return "the user stays registered (REWATCH_NEVER_SIGN_OUT)"
	case c.DeregisterAll || c.HookTakesAll:
		return "to be signed out by " + c.means() + ", of all contacts"
	default:
		return "to be signed out by " + c.means() + ", of the contact that is lost"
	}
}

func givenUpText(a policy.Action) string {
	return fmt.Sprintf("user given up after %d MESSAGEs%s", a.Attempt, lostOf(a))
}

// entries are the alarms that the decisions of a draft raise and clear. They are saved
// together with the state, and kept until every receiver has been told.
func (b *alarmBook) entries(aor string, d draft) []store.Entry {
	if !b.e.noting {
		return nil
	}
	var entries []store.Entry
	for _, c := range d.changes {
		for _, a := range c.actions {
			switch a.Kind {
			case policy.RaiseAlarm:
				entries = append(entries, alarmlog.Entries(b.alarmOf(aor, a, c.event.At), false)...)
			case policy.ClearAlarm:
				cleared := b.alarmOf(aor, a, a.RaisedAt)
				cleared.ClearedAt = &c.event.At
				entries = append(entries, alarmlog.Entries(cleared, false)...)
			default:
			}
		}
	}
	return entries
}

func (b *alarmBook) alarmOf(aor string, a policy.Action, at time.Time) alarm.Alarm {
	return alarm.Of(a.Alarm, aor, b.textOf(aor, a), at)
}

func (b *alarmBook) textOf(aor string, a policy.Action) string {
	switch a.Alarm {
	case policy.AlarmBanned:
		return fmt.Sprintf("user refused for %s after %d MESSAGEs%s", b.e.cfg.Rules.Ban, a.Attempt, lostOf(a))
	case policy.AlarmDeregisterFailed:
		return "user could not be signed out by " + b.e.cfg.means() + lostOf(a)
	default:
		return givenUpText(a) + "; " + b.measure(aor)
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

// storeFailed raises the alarm when the store begins to fail, and says whether the store
// worked until now.
func (b *alarmBook) storeFailed(err error) bool {
	if b.storeAway.Swap(true) {
		return false
	}
	b.Raise(alarm.Of(alarm.StoreUnavailable, storeObject, "state cannot be saved: "+err.Error(), time.Now()))
	return true
}

// storeBack clears the alarm when the store works again.
func (b *alarmBook) storeBack() {
	if b.storeAway.Load() && b.storeAway.Swap(false) {
		b.Clear(alarm.StoreUnavailable, storeObject, time.Now())
	}
}

// capBites raises the alarm when the hourly cap begins to hold de-REGISTERs up, and clears
// it when none waits any more.
func (b *alarmBook) capBites(bites bool) {
	if !bites {
		b.Clear(alarm.DeregisterCap, capObject, time.Now())
		return
	}
	text := fmt.Sprintf("%d de-REGISTERs in an hour, which is the cap; others wait", b.e.cfg.DeregisterCap)
	b.e.reports.dryly(count.DryAlarm)
	b.Raise(alarm.Of(alarm.DeregisterCap, capObject, text, time.Now()))
}
