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

// Entries remember an alarm that was raised or cleared, for the next process: the raise and the
// clear under a key each, because the receivers may have been told of only one of them. If every
// receiver has been told (told), the entries of a cleared alarm are deleted, and that of a raise
// which the state of a user remembers.
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
	case !told || a.ClearedAt == nil && !alarm.AboutUser(a.Name):
		return []store.Entry{e.With(entry{a, told}, a.RaisedAt.Add(age))}
	case a.ClearedAt == nil:
		return []store.Entry{raise}
	default:
		return []store.Entry{raise, e}
	}
}

// Recaller takes up the alarms of an earlier process. *alarm.Manager implements it.
type Recaller interface {
	// Recall makes an alarm active, which has to be raised again to stay.
	Recall(a alarm.Alarm)
	// Remind tells every receiver that an alarm was raised or cleared.
	Remind(a alarm.Alarm)
}

// Recall takes up the alarms that an earlier process has kept. It tells the receivers of the
// changes that not all of them have been told of, in the order in which they happened. An alarm
// that is not about a user stays only if it is raised again. The error says that the Journal
// cannot be read.
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
		if !over[v.ID] && !alarm.AboutUser(v.Name) {
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

// at is when the alarm was raised, or cleared.
func (v entry) at() time.Time {
	if v.ClearedAt != nil {
		return *v.ClearedAt
	}
	return v.RaisedAt
}

// Memory is an alarm.Memory that has a Keeper write the entries.
type Memory struct{ Keeper func() *store.Keeper }

// Changed remembers an alarm that no receiver has been told of. An alarm about a user was saved
// together with the decision that led to it, and one about the store cannot be kept in the store.
func (m Memory) Changed(a alarm.Alarm) {
	if a.Name != alarm.StoreUnavailable && !alarm.AboutUser(a.Name) {
		m.Keeper().Keep(Entries(a, false)...)
	}
}

// Told remembers that every receiver has been told.
func (m Memory) Told(a alarm.Alarm) {
	if a.Name != alarm.StoreUnavailable {
		m.Keeper().Keep(Entries(a, true)...)
	}
}
