// Package alarmlog keeps alarms over a restart: those that were raised, and those of which
// not everybody has been told yet.
package alarmlog

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"rewatch/dialogs/store"
	"rewatch/policy/alarm"
)

// age is how long an alarm is remembered that nobody clears.
const age = 30 * 24 * time.Hour

// entry is the value of a KindAlarm.
type entry struct {
	alarm.Alarm
	// Told: every receiver has been told.
	Told bool `json:"told,omitempty"`
}

// perUser are the alarms that a user's state remembers while they are raised. What is
// in the Journal is only what nobody was told of yet.
var perUser = []string{alarm.WatcherExhausted, alarm.WatcherBanned, alarm.DeregisterFailed}

// ofUser says whether an alarm is about a user, whose state remembers it.
func ofUser(a alarm.Alarm) bool { return slices.Contains(perUser, a.Name) }

// Entries remember an alarm that was raised or cleared, for the next process: the
// raise and the clear under a key each, as one may be told and the other not. If every
// receiver has been told (told), nothing is left to be remembered of one that is
// cleared, or of a raise that a user's state remembers.
func Entries(a alarm.Alarm, told bool) []store.Entry {
	if a.ID == "" {
		a.ID = alarm.ID(a)
	}
	raise := store.Entry{Kind: store.KindAlarm, Key: a.Name + " " + a.Object + " " + a.ID}
	e := raise
	if a.ClearedAt != nil {
		e.Key += " cleared"
	}
	switch {
	case !told || a.ClearedAt == nil && !ofUser(a):
		return []store.Entry{e.With(entry{a, told}, a.RaisedAt.Add(age))}
	case a.ClearedAt == nil:
		return []store.Entry{raise}
	default:
		return []store.Entry{raise, e}
	}
}

// Recaller takes up the alarms of an earlier process. Package policy/alarm implements it.
type Recaller interface {
	// Recall makes one active that has to be raised again to stay.
	Recall(a alarm.Alarm)
	// Remind tells everybody of one, raised or cleared.
	Remind(a alarm.Alarm)
}

// Recall takes up the alarms that an earlier process has kept, and tells of what it
// could not tell everybody, in the order in which it happened. Of an alarm that is in
// nobody's state it has to turn out whether it goes on.
func Recall(ctx context.Context, j store.Journal, r Recaller) error {
	kept, err := keptEntries(ctx, j)
	if err != nil {
		return err
	}
	over := make(map[string]bool) // by id
	for _, v := range kept {
		over[v.ID] = over[v.ID] || v.ClearedAt != nil
	}
	for _, v := range kept {
		if !over[v.ID] && !ofUser(v.Alarm) {
			r.Recall(v.Alarm)
		}
		if !v.Told {
			r.Remind(v.Alarm)
		}
	}
	return nil
}

// keptEntries reads every raise and clear that is kept, in the order in which they happened.
func keptEntries(ctx context.Context, j store.Journal) ([]entry, error) {
	var kept []entry
	for e, err := range j.Entries(ctx, store.KindAlarm) {
		if err != nil {
			return nil, fmt.Errorf("read every alarm: %w", err)
		}
		var v entry
		if json.Unmarshal(e.Value, &v) != nil || !slices.Contains(alarm.Names(), v.Name) || v.RaisedAt.IsZero() {
			continue
		}
		kept = append(kept, v)
	}
	slices.SortFunc(kept, func(a, b entry) int {
		return cmp.Or(a.at().Compare(b.at()), cmp.Compare(b.State(), a.State())) // raised before cleared
	})
	return kept, nil
}

// at is when it was raised, or cleared.
func (v entry) at() time.Time {
	if v.ClearedAt != nil {
		return *v.ClearedAt
	}
	return v.RaisedAt
}

// Memory is an alarm.Memory that keeps what a Keeper writes.
type Memory struct{ Keeper func() *store.Keeper }

// Changed remembers an alarm that nobody has been told of. One of a user was remembered
// together with the decision that led to it, and one about the store cannot be kept in
// the store.
func (m Memory) Changed(a alarm.Alarm) {
	if a.Name != alarm.StoreUnavailable && !ofUser(a) {
		m.Keeper().Keep(Entries(a, false)...)
	}
}

// Told remembers that everybody has been told.
func (m Memory) Told(a alarm.Alarm) {
	if a.Name != alarm.StoreUnavailable {
		m.Keeper().Keep(Entries(a, true)...)
	}
}
