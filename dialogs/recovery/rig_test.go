package recovery_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/agent"
	"rewatch/dialogs/recovery"
	"rewatch/dialogs/recovery/hold"
	"rewatch/dialogs/store"
	"rewatch/policy"
	"rewatch/policy/alarm"
	"rewatch/policy/outage"
)

const alice = "sip:alice@ims.example"

// rig is an Engine with a core, a directory and alarms that write down, with the
// time, what is asked of them. It runs inside a synctest bubble.
type rig struct {
	*recovery.Engine
	t       *testing.T
	began   time.Time
	metrics *prometheus.Registry
	store   store.Store

	mu       sync.Mutex
	diary    []string
	texts    map[string][]string // of the alarms, as raised and amended, by name
	users    map[string]dialogs.User
	dialogs  map[string]bool // Call-IDs with a terminating NOTIFY to be had
	inFlight map[string]int
	other    string // way that the last MESSAGE could go
	// answer is what the core answers, after the delay.
	answer func(request string) dialogs.Result
	delay  time.Duration
	dead   bool // it was killed: nothing that it does happens
}

func rules() policy.Rules {
	return policy.Rules{
		Threshold: 3, Patience: policy.PatienceNone, Ban: time.Hour, ResubscribeTimeout: 30 * time.Second,
		Coalesce: 500 * time.Millisecond, ProofTimeout: 32 * time.Second, MessageTimeout: 40 * time.Second,
		DeregisterRetry: 5 * time.Second, DeregisterTries: 3, StrikeTTL: 24 * time.Hour, Forget: 24 * time.Hour,
	}
}

// config takes the path to be proven: the tests of the hold are about that.
func config() recovery.Config {
	return recovery.Config{
		Rules: rules(), Signal: agent.Signal{Message: true},
		Hold: hold.Config{Limits: outage.Limits{Off: true}},
	}
}

// inBubble runs a test with a rig in virtual time.
func inBubble(t *testing.T, cfg recovery.Config, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, cfg, store.NewMemoryStore())
		test(r)
		r.stop()
	})
}

func newRig(t *testing.T, cfg recovery.Config, store store.Store) *rig {
	t.Helper()
	r := makeRig(t, cfg, store, nil)
	r.start()
	return r
}

// makeRig makes a rig that does not run yet. It is its own directory if there is none.
func makeRig(t *testing.T, cfg recovery.Config, store store.Store, dir dialogs.Directory) *rig {
	r := &rig{
		t: t, began: time.Now(), store: store, metrics: prometheus.NewRegistry(),
		users: map[string]dialogs.User{alice: {
			AOR: alice, Registered: true, SCSCF: "sip:scscf.ims.example:6060;lr",
			LastHop: "sip:10.0.0.7:5060", Contacts: []string{"sip:alice@192.0.2.7:5066"},
		}},
		inFlight: make(map[string]int),
		dialogs:  make(map[string]bool),
		answer:   func(string) dialogs.Result { return dialogs.Result{Status: 200, Reason: "OK"} },
		delay:    10 * time.Millisecond,
	}
	if dir == nil {
		dir = r
	}
	r.Engine = recovery.New(cfg, dir, r, (*alarmDiary)(r), store, zerolog.New(io.Discard), r.metrics)
	return r
}

func (r *rig) start() {
	r.t.Helper()
	if err := r.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stop() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		r.t.Errorf("shutdown: %v", err)
	}
}

// at lets the time pass until d after the beginning.
func (r *rig) at(d time.Duration) time.Time {
	r.t.Helper()
	left := time.Until(r.began.Add(d))
	if left < 0 {
		r.t.Fatalf("%s is %s ago", d, -left)
	}
	time.Sleep(left)
	synctest.Wait()
	return time.Now()
}

func (r *rig) offer(kind policy.EventKind, resource, callID string) {
	r.Offer(alice, policy.Event{Kind: kind, At: time.Now(), Sub: broken(resource, callID)})
	synctest.Wait()
}

func broken(resource, callID string) policy.Broken {
	return policy.Broken{
		Event: "presence", Resource: resource, CallID: callID, Cause: "408 Request Timeout", Contact: "sip:alice@192.0.2.7:5066",
	}
}

func (r *rig) write(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return
	}
	line := fmt.Sprintf("%8s  ", time.Since(r.began).Round(time.Millisecond)) + fmt.Sprintf(format, args...)
	r.diary = append(r.diary, line)
}

// expect compares the diary so far with the lines of want, and begins a new one.
// What happens at the same moment may happen in any order.
func (r *rig) expect(want string) {
	r.t.Helper()
	r.mu.Lock()
	got := r.diary
	r.diary = nil
	r.mu.Unlock()
	g, w := entries(got...), entries(strings.Split(want, "\n")...)
	if !slices.Equal(g, w) {
		r.t.Errorf("happened:\n\t%s\nwant:\n\t%s", strings.Join(g, "\n\t"), strings.Join(w, "\n\t"))
	}
}

// happened is how much is in the diary.
func (r *rig) happened() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.diary)
}

// entries are the lines that are not empty, with single blanks, sorted within
// each moment.
func entries(lines ...string) []string {
	var all []string
	for _, line := range lines {
		if words := strings.Fields(line); len(words) > 0 {
			all = append(all, strings.Join(words, " "))
		}
	}
	moment := func(line string) time.Duration {
		at, _, _ := strings.Cut(line, " ")
		d, _ := time.ParseDuration(at)
		return d
	}
	slices.SortStableFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(moment(a), moment(b)), cmp.Compare(a, b))
	})
	return all
}

// The core.

func (r *rig) Message(ctx context.Context, m dialogs.MessageJob) dialogs.Result {
	var names []string
	for _, b := range m.Broken {
		names = append(names, b.Resource)
	}
	r.write("MESSAGE %d of %d to %s by %s: %s", m.Attempt, m.Of, m.AOR, m.Route, strings.Join(names, " "))
	r.change(func() { r.other = m.Else })
	r.enter(m.AOR, 1)
	defer r.enter(m.AOR, -1)
	return r.reply(ctx, "MESSAGE")
}

// enter counts the MESSAGEs in flight of a user; RFC 3428 allows one.
func (r *rig) enter(aor string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inFlight[aor] += n; r.inFlight[aor] > 1 {
		r.t.Errorf("%d MESSAGEs to %s in flight", r.inFlight[aor], aor)
	}
}

func (r *rig) Terminate(ctx context.Context, j dialogs.TerminateJob) dialogs.Result {
	r.write("NOTIFY terminated %s", j.Head)
	return r.reply(ctx, "NOTIFY")
}

func (r *rig) Deregister(ctx context.Context, j dialogs.DeregisterJob) dialogs.Result {
	target := "core by " + j.Route
	if j.Target == dialogs.AtServer {
		target = "server"
	}
	r.write("REGISTER %s at %s: %q", j.AOR, target, j.Contact)
	return r.reply(ctx, "REGISTER "+target[:4])
}

func (r *rig) reply(ctx context.Context, request string) dialogs.Result {
	r.mu.Lock()
	delay := r.delay
	r.mu.Unlock()
	select {
	case <-time.After(delay):
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.answer(request)
	case <-ctx.Done():
		return dialogs.Result{Err: ctx.Err()}
	}
}

// The directory.

func (r *rig) User(aor string) dialogs.User {
	r.mu.Lock()
	defer r.mu.Unlock()
	u, ok := r.users[aor]
	if !ok {
		return dialogs.User{AOR: aor}
	}
	return u
}

func (r *rig) SignedOut(u dialogs.User) bool {
	r.write("signed out %s", u.AOR)
	return true
}

func (r *rig) Termination(aor, callID, _ string) (dialogs.TerminateJob, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return dialogs.TerminateJob{Head: []byte(callID), CSeq: 7}, r.dialogs[callID]
}

// change changes what the core knows or answers.
func (r *rig) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

type alarmDiary rig

func (d *alarmDiary) Raise(a alarm.Alarm) {
	if a.EventType == "" || a.ProbableCause == "" || a.Severity == "" || a.Text == "" || a.RaisedAt.IsZero() {
		d.t.Errorf("the alarm lacks fields: %+v", a)
	}
	d.Amend(a.Name, a.Object, a.Text)
	(*rig)(d).write("raise %s of %s, %s", a.Name, a.Object, a.Severity)
}

func (d *alarmDiary) Amend(name, _, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.texts == nil {
		d.texts = make(map[string][]string)
	}
	d.texts[name] = append(d.texts[name], text)
}

func (d *alarmDiary) Clear(name, object string, _ time.Time) {
	(*rig)(d).write("clear %s of %s", name, object)
}

func (d *alarmDiary) Adopt(a alarm.Alarm) { (*rig)(d).write("adopt %s of %s", a.Name, a.Object) }

func (d *alarmDiary) Release(name, object string) {
	(*rig)(d).write("release %s of %s", name, object)
}

// metric reads a counter; labels are name and value in turn.
func (r *rig) metric(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var have []string
			for _, l := range m.GetLabel() {
				have = append(have, l.GetName(), l.GetValue())
			}
			if slices.Equal(have, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	r.t.Fatalf("no metric %s %q", name, labels)
	return 0
}

func (r *rig) expectMetric(want float64, name string, labels ...string) {
	r.t.Helper()
	if got := r.metric(name, labels...); got != want {
		r.t.Errorf("%s %q is %v, want %v", name, labels, got, want)
	}
}

// expectForgotten checks that nothing is left of anybody.
func (r *rig) expectForgotten() {
	r.t.Helper()
	synctest.Wait()
	if left := r.States(); len(left) != 0 {
		r.t.Errorf("the engine remembers %+v", left)
	}
	for rec, err := range r.store.All(context.Background()) {
		r.t.Errorf("the store remembers %+v, %v", rec, err)
	}
	if r.Interested(alice) {
		r.t.Error("the engine is interested still")
	}
}
