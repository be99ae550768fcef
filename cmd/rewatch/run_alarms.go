package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"rewatch/dialogs"
	"rewatch/policy/alarm"
)

// derived are the alarms that are not kept by themselves: those about users are
// part of a user's state, and that the store is away cannot be kept in the store.
var derived = []string{alarm.WatcherExhausted, alarm.WatcherBanned, alarm.DeregisterFailed, alarm.StoreUnavailable}

// alarmAge is how long an alarm is remembered that nobody clears, settleTime how
// long one of an earlier process has to be raised again.
const (
	alarmAge   = 30 * 24 * time.Hour
	settleTime = 2 * time.Minute
)

// alarmKeeper is a sink that keeps the alarms of this process in the Journal, so
// that the next one goes on with the same alarms.
type alarmKeeper struct{ journal dialogs.Journal }

// Name is what the log calls it.
func (alarmKeeper) Name() string { return "state" }

// Deliver keeps an alarm that is raised, and forgets one that is cleared.
func (k alarmKeeper) Deliver(ctx context.Context, a alarm.Alarm) error {
	if slices.Contains(derived, a.Name) {
		return nil
	}
	e := dialogs.Entry{Kind: dialogs.KindAlarm, Key: a.Name + " " + a.Object, Until: a.RaisedAt.Add(alarmAge)}
	if a.ClearedAt == nil {
		var err error
		if e.Value, err = json.Marshal(a); err != nil {
			return err
		}
	}
	return k.journal.Write(ctx, []dialogs.Entry{e})
}

// recallAlarms takes up the alarms that an earlier process has kept.
func (p *sidecarProcess) recallAlarms(ctx context.Context) error {
	p.settling = time.AfterFunc(settleTime, p.alarms.Settle)
	for e, err := range p.memory.journal.Entries(ctx, dialogs.KindAlarm) {
		if err != nil {
			return fmt.Errorf("read every alarm: %w", err)
		}
		var a alarm.Alarm
		if json.Unmarshal(e.Value, &a) == nil && slices.Contains(alarm.Names(), a.Name) {
			p.alarms.Recall(a)
		}
	}
	return nil
}
