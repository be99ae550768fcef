package alarmlog

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs/store"
	"rewatch/policy/alarm"
)

var dawn = time.Now().Add(-time.Hour).UTC().Truncate(time.Second)

// about makes an alarm; cleared is how long after the dawn it was cleared, 0: it is raised.
func about(name, object string, raised, cleared time.Duration) alarm.Alarm {
	a := alarm.Alarm{Name: name, Object: object, RaisedAt: dawn.Add(raised)}
	a.ID = alarm.ID(a)
	if cleared > 0 {
		at := dawn.Add(cleared)
		a.ClearedAt = &at
	}
	return a
}

// heard notes what is recalled, and of what everybody is reminded.
type heard struct{ list []string }

func (h *heard) Recall(a alarm.Alarm) { h.list = append(h.list, "recall "+a.Object) }
func (h *heard) Remind(a alarm.Alarm) { h.list = append(h.list, "remind "+a.State()+" "+a.Object) }

// A restart finds what it has to find: what is raised and in nobody's state, and what not
// everybody was told of, in the order in which it happened.
func TestRecall(t *testing.T) {
	for name, c := range map[string]struct {
		write [][]store.Entry
		want  []string
	}{
		"raised, not told":  {[][]store.Entry{Entries(about(alarm.CoreOutage, "hop", 0, 0), false)}, []string{"recall hop", "remind raised hop"}},
		"raised, told":      {[][]store.Entry{Entries(about(alarm.CoreOutage, "hop", 0, 0), false), Entries(about(alarm.CoreOutage, "hop", 0, 0), true)}, []string{"recall hop"}},
		"of a user":         {[][]store.Entry{Entries(about(alarm.WatcherExhausted, "al", 0, 0), false)}, []string{"remind raised al"}},
		"of a user, told":   {[][]store.Entry{Entries(about(alarm.WatcherExhausted, "al", 0, 0), false), Entries(about(alarm.WatcherExhausted, "al", 0, 0), true)}, nil},
		"cleared, told":     {[][]store.Entry{Entries(about(alarm.CoreOutage, "hop", 0, 0), true), Entries(about(alarm.CoreOutage, "hop", 0, 1), false), Entries(about(alarm.CoreOutage, "hop", 0, 1), true)}, nil},
		"cleared, not told": {[][]store.Entry{Entries(about(alarm.CoreOutage, "hop", 0, 0), true), Entries(about(alarm.CoreOutage, "hop", 0, 1), false)}, []string{"remind cleared hop"}},
		"neither was told":  {[][]store.Entry{Entries(about(alarm.CoreOutage, "hop", 0, 1), false), Entries(about(alarm.CoreOutage, "hop", 0, 0), false)}, []string{"remind raised hop", "remind cleared hop"}},
		"two, in their order": {
			[][]store.Entry{Entries(about(alarm.CoreOutage, "b", time.Second, 0), false), Entries(about(alarm.ServerDown, "a", 0, 0), false)},
			[]string{"recall a", "remind raised a", "recall b", "remind raised b"},
		},
		"nonsense": {[][]store.Entry{
			{{Kind: store.KindAlarm, Key: "x", Value: []byte("{"), Until: time.Now().Add(time.Hour)}},
			Entries(about("no-such-alarm", "x", 0, 0), false),
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			j := store.NewMemoryStore()
			for _, batch := range c.write {
				if err := j.Write(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			var h heard
			if err := Recall(t.Context(), j, &h); err != nil || !slices.Equal(h.list, c.want) {
				t.Errorf("%v, %v, want %v", h.list, err, c.want)
			}
		})
	}
}

// away is a Journal that cannot be read.
type away struct{ store.Journal }

var errAway = errors.New("away")

func (away) Entries(context.Context, store.Kind) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) { yield(store.Entry{}, errAway) }
}

func TestRecallFails(t *testing.T) {
	if err := Recall(t.Context(), away{}, &heard{}); !errors.Is(err, errAway) {
		t.Error(err)
	}
}

// What a Memory is told goes to the Keeper: not what a user's state remembers, and nothing
// of the store itself.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		name          string
		changed, told bool
	}{
		{alarm.CoreOutage, true, true}, {alarm.WatcherExhausted, false, true}, {alarm.StoreUnavailable, false, false},
	} {
		for what, tell := range map[string]func(Memory, alarm.Alarm){"changed": Memory.Changed, "told": Memory.Told} {
			k := store.NewKeeper(store.KeeperConfig{}, store.NewMemoryStore(), zerolog.Nop())
			tell(Memory{func() *store.Keeper { return k }}, about(c.name, "x", 0, 0))
			want := map[string]bool{"changed": c.changed, "told": c.told}[what]
			if got := k.Pending() > 0; got != want {
				t.Errorf("%s %s: kept %v", c.name, what, got)
			}
		}
	}
}
