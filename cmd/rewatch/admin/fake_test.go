package admin

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/policy"
	"rewatch/policy/alarm"
)

// fakeBackend shows what it is given and notes what it is told.
type fakeBackend struct {
	auditing   sync.Mutex
	audited    []string
	ready      []Condition
	recoveries []fakeRecovery
	alarms     []alarm.Alarm
	watchers   map[string]any
	changed    []string
	limit      int
	held       string // by hand, and why
	holds      []fakeHold
	dry        bool
	found      map[string][]map[string]any
	level      string
	after      string
	captured   map[string][]map[string]any // messages by recovery; nil: none are kept
}

func (f *fakeBackend) Captures() bool { return f.captured != nil }

func (f *fakeBackend) Messages(id string) (any, bool) {
	m, ok := f.captured[id]
	return m, ok
}

func (f *fakeBackend) Pcap(id string) ([]byte, bool) {
	_, ok := f.captured[id]
	return []byte("pcap of " + id), ok
}

type fakeRecovery struct {
	ID      string          `json:"id"`
	AOR     string          `json:"aor"`
	Started time.Time       `json:"started"`
	Ended   time.Time       `json:"ended,omitzero"`
	Result  string          `json:"result"`
	Phase   string          `json:"phase"`
	Attempt int             `json:"attempt"`
	Of      int             `json:"of"`
	Until   time.Time       `json:"deadline,omitzero"`
	Broken  []policy.Broken `json:"broken"`
	Steps   []fakeStep      `json:"steps"`
	Stands  string          `json:"standing,omitempty"`
	Hop     string          `json:"hop,omitempty"`
	// Delivery and Kept are those of ladder.View.
	Delivery bool           `json:"delivery,omitempty"`
	Kept     map[string]any `json:"kept,omitempty"`
}

// fakeHold has the form of hold.Held.
type fakeHold struct {
	Hop     string    `json:"hop"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
	Waiting int       `json:"waiting"`
	ByHand  bool      `json:"by_hand,omitempty"`
}

func (f *fakeBackend) Hold(reason string) { f.held = reason }

func (f *fakeBackend) Resume() bool {
	was := f.held != ""
	f.held = ""
	return was
}

func (f *fakeBackend) ResumeHop(hop string) bool {
	before := len(f.holds)
	f.holds = slices.DeleteFunc(f.holds, func(h fakeHold) bool { return h.Hop == hop })
	return len(f.holds) < before
}

func (f *fakeBackend) Holds() any {
	if f.held == "" {
		return f.holds
	}
	return append([]fakeHold{{Reason: f.held, ByHand: true}}, f.holds...)
}

func (f *fakeBackend) SetDryRun(on bool) { f.dry = on }
func (f *fakeBackend) DryRun() bool      { return f.dry }
func (f *fakeBackend) LogLevel() string  { return f.level }

func (f *fakeBackend) SetLogLevel(level string) bool {
	f.level = level
	return level == "debug"
}

func (f *fakeBackend) Modes() []string {
	var modes []string
	if f.dry {
		modes = append(modes, "dry-run")
	}
	if f.held != "" {
		modes = append(modes, "held-by-hand")
	}
	if len(f.holds) > 0 {
		modes = append(modes, "held")
	}
	if modes == nil {
		modes = []string{"normal"}
	}
	return modes
}

// fakeStep has the form of dialogs.Step.
type fakeStep struct {
	At   time.Time `json:"at"`
	From string    `json:"from"`
	To   string    `json:"to"`
	What string    `json:"what"`
}

func (f *fakeBackend) Ready() []Condition { return f.ready }

func (f *fakeBackend) Clients() any {
	return []map[string]any{{"family": "Linphone", "subscriptions": 30, "failures": 7, "returns": map[string]int{"message": 5, "refresh": 1}}}
}

func (f *fakeBackend) Watchers(limit int, after, find string) Page {
	f.limit, f.after = limit, after
	if find != "" {
		return Page{Items: f.found[find]}
	}
	return Page{Items: []string{"sip:a@ims.example"}, Next: "sip:a@ims.example"}
}

func (f *fakeBackend) Subscriptions(limit int, after string) Page {
	return f.Watchers(limit, after, "")
}

func (f *fakeBackend) Watcher(aor string) (any, bool) {
	w, ok := f.watchers[aor]
	return w, ok
}

func (f *fakeBackend) Recoveries(limit int, _ string) Page {
	return Page{Items: f.recoveries[:min(limit, len(f.recoveries))]}
}

func (f *fakeBackend) Alarms(int) any { return f.alarms }

func (f *fakeBackend) Reset(aor string) bool { return f.change("reset", aor) }

func (f *fakeBackend) Unban(aor string) bool { return f.change("unban", aor) }

func (f *fakeBackend) Audit(actor, action, user, reason, detail string) {
	f.auditing.Lock()
	defer f.auditing.Unlock()
	line := actor + ": " + action + " " + user + ": " + reason
	if detail != "" {
		line += ": " + detail
	}
	f.audited = append(f.audited, line)
}

func (f *fakeBackend) change(what, aor string) bool {
	_, ok := f.watchers[aor]
	if ok {
		f.changed = append(f.changed, what+" "+aor)
	}
	return ok
}

// fakeMetrics are the metrics that the summary reads.
func fakeMetrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	gauge := func(name string, value float64) {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
		g.Set(value)
		registry.MustRegister(g)
	}
	gauge("rewatch_subscriptions", 48213)
	gauge("rewatch_registrations", 12944)
	notify := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rewatch_notify_total"}, []string{"event", "result"})
	notify.WithLabelValues("presence", "ok").Add(1_203_400)
	notify.WithLabelValues("dialog", "ok").Add(56)
	notify.WithLabelValues("presence", "failed").Add(38)
	recoveries := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rewatch_recoveries_total"}, []string{"result"})
	recoveries.WithLabelValues("recovered").Add(31)
	recoveries.WithLabelValues("exhausted").Add(2)
	registry.MustRegister(notify, recoveries)
	return registry
}

// busyBackend is a rewatch in the middle of its work.
func busyBackend(now time.Time) *fakeBackend {
	at := func(d time.Duration) time.Time { return now.Add(-d) }
	lost := policy.Broken{Event: "presence", Resource: "sip:bob@ims.example", CallID: "3848276298220188511@server", Cause: "408 Request Timeout"}
	back := lost
	back.Progress, back.Told = policy.Proven, true
	flow := func(start time.Time, answered bool) []fakeStep {
		steps := []fakeStep{
			{At: start.Add(28 * time.Second), From: "rewatch", To: "rewatch", What: "no response after 28s"},
			{At: start, From: "server", To: "rewatch", What: "NOTIFY presence"},
			{At: start, From: "rewatch", To: "core", What: "NOTIFY presence"},
			{At: start.Add(28001 * time.Millisecond), From: "rewatch", To: "server", What: "481 Subscription Does Not Exist"},
			{At: start.Add(28502 * time.Millisecond), From: "rewatch", To: "core", What: "MESSAGE 1 of 3"},
			{At: start.Add(28614 * time.Millisecond), From: "core", To: "rewatch", What: "200 OK"},
		}
		if answered {
			steps = append(steps,
				fakeStep{At: start.Add(29900 * time.Millisecond), From: "core", To: "rewatch", What: "SUBSCRIBE presence"},
				fakeStep{At: start.Add(29900 * time.Millisecond), From: "rewatch", To: "server", What: "SUBSCRIBE presence"},
				fakeStep{At: start.Add(29904 * time.Millisecond), From: "server", To: "rewatch", What: "200 OK"},
				fakeStep{At: start.Add(29904 * time.Millisecond), From: "rewatch", To: "core", What: "200 OK"},
				fakeStep{At: start.Add(29906 * time.Millisecond), From: "server", To: "rewatch", What: "NOTIFY presence"},
				fakeStep{At: start.Add(29906 * time.Millisecond), From: "rewatch", To: "core", What: "NOTIFY presence"},
				fakeStep{At: start.Add(29960 * time.Millisecond), From: "core", To: "rewatch", What: "200 OK"},
				fakeStep{At: start.Add(29960 * time.Millisecond), From: "rewatch", To: "server", What: "200 OK"},
				fakeStep{At: start.Add(29960 * time.Millisecond), From: "rewatch", To: "rewatch", What: "recovered"})
		}
		return steps
	}
	hostile := lost
	hostile.Event = "<b>presence</b>"
	hostile.Resource = "sip:<script>alert(1)</script>@ims.example"
	return &fakeBackend{
		ready: []Condition{{Name: "listeners", OK: true}, {Name: "server", OK: true, Detail: "sip:127.0.0.1:5070"}},
		recoveries: []fakeRecovery{
			{ID: "7", AOR: "sip:alice@ims.example", Started: at(41 * time.Second), Phase: "waiting", Attempt: 1, Of: 3, Until: now.Add(17 * time.Second), Broken: []policy.Broken{lost, {Event: "dialog;id=4", Resource: "sip:reception@ims.example", CallID: "a84b4c76e66710", Cause: "503 Service Unavailable", Progress: policy.Resubscribed}}, Steps: flow(at(41*time.Second), false)},
			{ID: "8", AOR: `sip:<img src=x onerror="document.title='pwned'">@ims.example`, Started: at(3 * time.Second), Phase: "notifying", Attempt: 2, Of: 3, Broken: []policy.Broken{hostile}, Steps: flow(at(3*time.Second), false)},
			{ID: "6", AOR: "sip:carol@ims.example", Started: at(5 * time.Minute), Ended: at(4*time.Minute + 30*time.Second), Result: "recovered", Phase: "idle", Attempt: 1, Of: 3, Broken: []policy.Broken{back}, Steps: flow(at(5*time.Minute), true)},
			{ID: "5", AOR: "tel:+4930123456", Started: at(50 * time.Minute), Ended: at(46 * time.Minute), Result: "exhausted", Phase: "exhausted", Attempt: 3, Of: 3, Broken: []policy.Broken{lost}, Steps: flow(at(50*time.Minute), false)},
		},
		alarms: []alarm.Alarm{
			{ID: "a1", Name: "watcher-exhausted", Object: "tel:+4930123456", Severity: alarm.Minor, Text: "3 MESSAGEs were not answered by a new subscription; the user was signed out", RaisedAt: at(46 * time.Minute)},
			{ID: "a2", Name: "watcher-banned", Object: "sip:mallory@ims.example", Severity: alarm.Warning, Text: "banned for 1h after 3 MESSAGEs", RaisedAt: at(12 * time.Minute)},
			{ID: "a3", Name: "routing-fault", Object: "10.0.3.17:5060", EventType: "communications", ProbableCause: "communicationsProtocolError", Severity: alarm.Major, Text: "483 Too Many Hops to a NOTIFY", RaisedAt: at(7 * time.Minute)},
		},
		watchers: map[string]any{"sip:alice@ims.example": map[string]int{"sent": 1}, "sip:mallory@ims.example": 1, "sip:a/b@ims.example": 1},
	}
}
