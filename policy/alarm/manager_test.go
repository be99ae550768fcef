package alarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// recorder is a Sink that remembers, and fails as long as it is told to.
type recorder struct {
	mu   sync.Mutex
	got  []Alarm
	at   []time.Time
	fail error
}

func (r *recorder) Name() string { return "recorder" }

func (r *recorder) Deliver(_ context.Context, a Alarm) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = append(r.at, time.Now())
	if r.fail != nil {
		return r.fail
	}
	r.got = append(r.got, a)
	return nil
}

func (r *recorder) set(err error) {
	r.mu.Lock()
	r.fail = err
	r.mu.Unlock()
}

func (r *recorder) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, a := range r.got {
		list = append(list, a.State()+" "+a.Object)
	}
	return strings.Join(list, ", ")
}

// metric is the value of the one series with that name label; -1 if there is none.
func metric(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			if name == "" || s.GetLabel()[0].GetValue() == name {
				return s.GetGauge().GetValue() + s.GetCounter().GetValue()
			}
		}
	}
	return -1
}

func shut(t *testing.T, m *Manager) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := m.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func TestRaisedOnceClearedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		sink := &recorder{}
		m := New(Config{Sinks: []Sink{sink}, Registerer: reg})
		m.Start(context.Background())
		each(50, func() { m.Raise(Alarm{Name: WatcherExhausted, Object: "sip:alice@ims.example"}) })
		synctest.Wait()
		if got := metric(t, reg, WatcherExhausted); got != 1 {
			t.Errorf("gauge %v", got)
		}
		active := m.Active()
		if len(active) != 1 || active[0].ID == "" || active[0].Severity != Minor || active[0].ProbableCause != "thresholdCrossed" {
			t.Fatalf("active %+v", active)
		}
		time.Sleep(time.Minute)
		each(50, func() { m.Clear(WatcherExhausted, "sip:alice@ims.example", time.Now()) })
		m.Clear(WatcherExhausted, "sip:bob@ims.example", time.Now())
		shut(t, m)
		if got, want := sink.told(), "raised sip:alice@ims.example, cleared sip:alice@ims.example"; got != want {
			t.Fatalf("told %q", got)
		}
		raise, clear := sink.got[0], sink.got[1]
		if raise.ID != clear.ID || clear.ClearedAt.Sub(raise.RaisedAt) != time.Minute || raise.ClearedAt != nil {
			t.Errorf("raise %+v\nclear %+v", raise, clear)
		}
		if len(m.Active()) != 0 || metric(t, reg, WatcherExhausted) != 0 {
			t.Errorf("active %v", m.Active())
		}
	})
}

func each(n int, f func()) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(f)
	}
	wg.Wait()
}

func TestGaugeStartsAtZero(t *testing.T) {
	reg := prometheus.NewRegistry()
	New(Config{Registerer: reg})
	for _, name := range Names() {
		if got := metric(t, reg, name); got != 0 {
			t.Errorf("%s is %v", name, got)
		}
	}
	if len(kinds) != len(Names()) {
		t.Errorf("%d kinds of %d names", len(kinds), len(Names()))
	}
}

// The id follows from the alarm, so that one that is raised again from saved
// state keeps it; a later one of the same object has another.
func TestID(t *testing.T) {
	at := time.Unix(1000, 0)
	a := Alarm{Name: ServerDown, Object: "s", RaisedAt: at}
	b := a
	b.RaisedAt = at.Add(time.Nanosecond)
	if again := a; ID(a) != ID(again) || ID(a) == ID(b) || len(ID(a)) != 16 {
		t.Errorf("ids %s %s", ID(a), ID(b))
	}
}

func TestActiveIsBounded(t *testing.T) {
	lost := prometheus.NewCounter(prometheus.CounterOpts{Name: "lost"})
	reg := prometheus.NewRegistry()
	reg.MustRegister(lost)
	m := New(Config{MaxActive: 2, Dropped: lost})
	for i := range 3 {
		m.Raise(Alarm{Name: WatcherBanned, Object: fmt.Sprint(i)})
	}
	if len(m.Active()) != 2 || metric(t, reg, "") != 1 {
		t.Errorf("%d active, %v lost", len(m.Active()), metric(t, reg, ""))
	}
}

// A sink that is down gets everything, in order, once it is back; the others do
// not wait for it.
func TestSinkDownAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, healthy := &recorder{fail: errors.New("down")}, &recorder{}
		m := New(Config{Sinks: []Sink{broken, healthy}})
		m.Start(context.Background())
		start := time.Now()
		for _, object := range []string{"a", "b"} {
			m.Raise(Alarm{Name: CoreOutage, Object: object})
		}
		m.Clear(CoreOutage, "a", time.Time{})
		synctest.Wait()
		want := "raised a, raised b, cleared a"
		if !time.Now().Equal(start) || healthy.told() != want {
			t.Errorf("healthy was told %q after %v", healthy.told(), time.Since(start))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(broken.at); n < 20 || n > 60 {
			t.Errorf("%d tries in ten minutes", n)
		}
		for i := 1; i < len(broken.at); i++ {
			if gap := broken.at[i].Sub(broken.at[i-1]); gap < firstPause/2 || gap > 3*longestPause/2 {
				t.Errorf("pause %v", gap)
			}
		}
		broken.set(nil)
		time.Sleep(time.Minute)
		if broken.told() != want {
			t.Errorf("broken was told %q", broken.told())
		}
		shut(t, m)
	})
}

func TestPermanentErrorIsNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		sink := &recorder{fail: Permanent(errors.New("400 Bad Request"))}
		m := New(Config{Sinks: []Sink{sink}, Log: zerolog.New(zerolog.SyncWriter(&log))})
		m.Start(context.Background())
		m.Raise(Alarm{Name: CoreOutage, Object: "a"})
		time.Sleep(time.Hour)
		shut(t, m)
		if len(sink.at) != 1 || !strings.Contains(log.String(), "alarm refused") {
			t.Errorf("%d tries, log %s", len(sink.at), log.String())
		}
	})
}

func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &recorder{fail: errors.New("down")}
		m := New(Config{Sinks: []Sink{sink}})
		m.Start(context.Background())
		m.Raise(Alarm{Name: CoreOutage, Object: "a"})
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := m.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestLogSinkIsAlwaysThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := New(Config{Log: zerolog.New(&log)})
		m.Raise(Alarm{Name: ServerDown, Object: "sip:127.0.0.1"}) // before Start
		m.Start(context.Background())
		m.Clear(ServerDown, "sip:127.0.0.1", time.Time{})
		shut(t, m)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], `"state":"raised"`) || !strings.Contains(lines[0], `"level":"error"`) ||
			!strings.Contains(lines[1], `"state":"cleared"`) || !strings.Contains(lines[1], `"severity":"cleared"`) ||
			!strings.Contains(lines[1], "answers again") {
			t.Errorf("log %s", log.String())
		}
	})
}

func TestQueueLosesHistoryFirst(t *testing.T) {
	at := time.Unix(0, 0)
	raise := func(o string) Alarm { return Alarm{Name: "n", Object: o} }
	clear := func(o string) Alarm { return Alarm{Name: "n", Object: o, ClearedAt: &at} }
	tests := []struct {
		name string
		in   []Alarm
		want string
		lost int
	}{
		{"room", []Alarm{raise("a"), clear("a")}, "raised a, cleared a", 0},
		{"the same alarm", []Alarm{raise("a"), raise("b"), clear("a"), raise("c"), clear("b")}, "cleared a, raised c, cleared b", 2},
		{"oldest raise", []Alarm{clear("a"), raise("b"), raise("c"), raise("d")}, "cleared a, raised c, raised d", 1},
		{"oldest", []Alarm{clear("a"), clear("b"), clear("c"), clear("d")}, "cleared b, cleared c, cleared d", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueue(3)
			lost := 0
			for _, a := range tt.in {
				if _, ok := q.push(change{Alarm: a}); ok {
					lost++
				}
			}
			var got []string
			for a, ok := q.pop(); ok; a, ok = q.pop() {
				got = append(got, a.State()+" "+a.Object)
			}
			if strings.Join(got, ", ") != tt.want || lost != tt.lost {
				t.Errorf("got %v, lost %d", got, lost)
			}
		})
	}
}

func TestActiveIsSorted(t *testing.T) {
	m := New(Config{})
	base := time.Unix(0, 0)
	for i, o := range []string{"c", "a", "b"} {
		m.Raise(Alarm{Name: CoreOutage, Object: o, RaisedAt: base.Add(time.Duration(i))})
	}
	var got []string
	for _, a := range m.Active() {
		got = append(got, a.Object)
	}
	if !slices.Equal(got, []string{"c", "a", "b"}) {
		t.Errorf("got %v", got)
	}
}

// What was told before is told no more, and keeps its id.
func TestAdopt(t *testing.T) {
	raised := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	first := New(Config{})
	first.Raise(Alarm{Name: WatcherExhausted, Object: "sip:alice@ims.example", RaisedAt: raised})
	id := first.Active()[0].ID

	var told []Alarm
	m := New(Config{Sinks: []Sink{sinkFunc(func(a Alarm) { told = append(told, a) })}})
	m.Adopt(Alarm{Name: WatcherExhausted, Object: "sip:alice@ims.example", RaisedAt: raised})
	m.Adopt(Alarm{Name: WatcherExhausted, Object: "sip:bob@ims.example", RaisedAt: raised})
	m.Raise(Alarm{Name: WatcherExhausted, Object: "sip:alice@ims.example", RaisedAt: raised})
	m.Release(WatcherExhausted, "sip:bob@ims.example")
	m.Release(WatcherExhausted, "sip:nobody@ims.example")
	if active := m.Active(); len(active) != 1 || active[0].ID != id {
		t.Errorf("active are %+v, want the id %s", active, id)
	}
	m.Clear(WatcherExhausted, "sip:alice@ims.example", raised.Add(time.Hour))
	m.Clear(WatcherExhausted, "sip:bob@ims.example", raised.Add(time.Hour))
	m.Start(t.Context())
	if err := m.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].ID != id || told[0].ClearedAt == nil {
		t.Errorf("told %+v, want the end of %s", told, id)
	}
}

// sinkFunc is a sink that takes everything.
type sinkFunc func(Alarm)

func (sinkFunc) Name() string { return "func" }

func (f sinkFunc) Deliver(_ context.Context, a Alarm) error {
	f(a)
	return nil
}

// An alarm of an earlier process goes on if it is raised again, and is cleared if
// nobody raises it.
func TestRecall(t *testing.T) {
	raised := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	var told []Alarm
	m := New(Config{Sinks: []Sink{sinkFunc(func(a Alarm) { told = append(told, a) })}})
	for _, name := range []string{ServerDown, RoutingFault} {
		m.Recall(Alarm{Name: name, Object: "here", RaisedAt: raised})
	}
	m.Raise(Alarm{Name: ServerDown, Object: "here"})
	m.Settle()
	if active := m.Active(); len(active) != 1 || active[0].Name != ServerDown || !active[0].RaisedAt.Equal(raised) {
		t.Errorf("active are %+v", active)
	}
	m.Start(t.Context())
	if err := m.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Name != RoutingFault || told[0].ClearedAt == nil {
		t.Errorf("told %+v", told)
	}
}

// TestAmend: what has come of an alarm is read by whoever asks and is told with the end,
// not by itself; of one that is not active nothing is kept.
func TestAmend(t *testing.T) {
	var texts []string
	m := New(Config{Log: zerolog.Nop(), Sinks: []Sink{sinkFunc(func(a Alarm) { texts = append(texts, a.Text) })}})
	m.Amend(WatcherExhausted, "sip:alice@ims.example", "too early")
	m.Raise(Alarm{Name: WatcherExhausted, Object: "sip:alice@ims.example", Text: "to be signed out"})
	m.Amend(WatcherExhausted, "sip:bob@ims.example", "of somebody else")
	m.Amend(WatcherExhausted, "sip:alice@ims.example", "signed out")
	if active := m.Active(); len(active) != 1 || active[0].Text != "signed out" {
		t.Errorf("active: %+v", active)
	}
	m.Clear(WatcherExhausted, "sip:alice@ims.example", time.Now())
	m.Amend(WatcherExhausted, "sip:alice@ims.example", "too late")
	m.Start(t.Context())
	shut(t, m)
	if want := []string{"to be signed out", "signed out"}; !slices.Equal(texts, want) || len(m.Active()) != 0 {
		t.Errorf("told %q, want %q", texts, want)
	}
}
