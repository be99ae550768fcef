package recovery_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery"
	"rewatch/dialogs/recovery/alarmlog"
	"rewatch/dialogs/store"
	"rewatch/policy"
	"rewatch/policy/alarm"
)

// receiver is a receiver of alarms that may be away.
type receiver struct {
	mu   sync.Mutex
	away bool
	got  []string
}

func (*receiver) Name() string { return "receiver" }

func (r *receiver) Deliver(_ context.Context, a alarm.Alarm) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		return errors.New("connection refused")
	}
	r.got = append(r.got, a.State()+" "+a.Name+" "+a.ID)
	return nil
}

// take gives what it was told since it was asked last.
func (r *receiver) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

// watchdog is an Engine with alarms that outlive it.
type watchdog struct {
	*rig
	alarms *alarm.Manager
	keeper *store.Keeper
}

func newWatchdog(t *testing.T, disk *store.MemoryStore, r *receiver) *watchdog {
	t.Helper()
	cfg := config()
	cfg.Rules.Threshold = 1
	log := zerolog.New(io.Discard)
	w := &watchdog{rig: &rig{
		t: t, began: time.Now(), store: disk, metrics: prometheus.NewRegistry(), users: map[string]dialogs.User{alice: {Registered: true}},
		inFlight: map[string]int{}, answer: func(string) dialogs.Result { return dialogs.Result{Status: 200} },
	}}
	w.alarms = alarm.New(alarm.Config{
		Sinks: []alarm.Sink{r}, Memory: alarmlog.Memory{Keeper: func() *store.Keeper { return w.keeper }}, Log: log,
	})
	w.Engine = recovery.New(cfg, w, w, w.alarms, disk, log, w.metrics)
	w.keeper = store.NewKeeper(store.KeeperConfig{}, disk, log, w.Source())
	w.alarms.Start(context.Background())
	if err := errors.Join(w.keeper.Restore(t.Context()), alarmlog.Recall(t.Context(), disk, w.alarms)); err != nil {
		t.Error(err)
	}
	w.keeper.Start(context.Background())
	if err := w.Start(t.Context()); err != nil {
		t.Error(err)
	}
	return w
}

// trouble raises an alarm about the core and one about alice, within a minute, and
// gives the one and the id of the other.
func (w *watchdog) trouble() (outage alarm.Alarm, exhausted string) {
	w.t.Helper()
	w.offer(policy.NotifyFailed, "bob", "call-1")
	outage = alarm.Alarm{Name: alarm.CoreOutage, Object: "192.0.2.1:5060", RaisedAt: time.Now()}
	w.alarms.Raise(outage)
	w.at(time.Minute)
	return outage, alarm.ID(alarm.Alarm{Name: alarm.WatcherExhausted, Object: alice, RaisedAt: w.began.Add(30500 * time.Millisecond)})
}

// end stops it without waiting for the receiver.
func (w *watchdog) end() {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = w.Shutdown(context.Background())
	_ = w.alarms.Shutdown(now)
	_ = w.keeper.Shutdown(context.Background())
}

// What a receiver could not be told of it is told by the next process: the same alarm,
// and that it is over.
func TestAlarmsAreToldAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, r := store.NewMemoryStore(), &receiver{away: true}
		w := newWatchdog(t, disk, r)
		outage, exhausted := w.trouble()
		w.end()

		r.away = false
		w = newWatchdog(t, disk, r)
		w.at(time.Second)
		want := []string{"raised core-outage " + alarm.ID(outage), "raised watcher-exhausted " + exhausted}
		got := r.take()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		r.mu.Lock()
		r.away = true
		r.mu.Unlock()
		w.Offer(alice, policy.Event{Kind: policy.Registered, At: time.Now()})
		w.offer(policy.NotifyOK, "bob", "call-2")
		w.alarms.Clear(alarm.CoreOutage, outage.Object, time.Now())
		w.at(2 * time.Second)
		w.end()

		r.away = false
		w = newWatchdog(t, disk, r)
		w.at(time.Second)
		want = []string{"cleared core-outage " + alarm.ID(outage), "cleared watcher-exhausted " + exhausted}
		got = r.take()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		w.end()

		w = newWatchdog(t, disk, r)
		w.at(3 * time.Minute)
		if got := r.take(); len(got) != 0 || len(w.alarms.Active()) != 0 {
			t.Errorf("told %q once more, %v are active", got, w.alarms.Active())
		}
		w.end()
		for e, err := range disk.Entries(t.Context(), store.KindAlarm) {
			t.Errorf("left: %s %v", e.Key, err)
		}
	})
}

// An alarm that was raised and cleared before any receiver could be told of it is told
// by the next process, the raise first, and is not active there.
func TestAnAlarmThatIsOverIsToldAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, r := store.NewMemoryStore(), &receiver{away: true}
		w := newWatchdog(t, disk, r)
		outage, exhausted := w.trouble()
		w.Offer(alice, policy.Event{Kind: policy.Registered, At: time.Now()})
		w.offer(policy.NotifyOK, "bob", "call-2")
		w.at(2 * time.Minute)
		w.alarms.Clear(alarm.CoreOutage, outage.Object, time.Now())
		w.at(3 * time.Minute)
		w.end()

		r.away = false
		w = newWatchdog(t, disk, r)
		w.at(time.Second)
		want := []string{
			"raised core-outage " + alarm.ID(outage), "raised watcher-exhausted " + exhausted,
			"cleared watcher-exhausted " + exhausted, "cleared core-outage " + alarm.ID(outage),
		}
		if got := r.take(); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		if active := w.alarms.Active(); len(active) != 0 {
			t.Errorf("active are %v", active)
		}
		w.end()
		for e, err := range disk.Entries(t.Context(), store.KindAlarm) {
			t.Errorf("left: %s %v", e.Key, err)
		}
	})
}
