package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/recovery"
	"rewatch/dialogs/store"
	"rewatch/policy"
	"rewatch/policy/alarm"
)

// town is a Monitor and an Engine with thousands of phones behind a few hops, each
// of which can fall silent. It runs inside a synctest bubble.
type town struct {
	*recovery.Engine
	t       *testing.T
	monitor *monitor.Monitor
	metrics *prometheus.Registry
	began   time.Time
	hops    []netip.AddrPort
	cfg     recovery.Config
	store   *store.MemoryStore
	keeper  *store.Keeper

	mu     sync.Mutex
	away   bool // rewatch does not run
	down   map[netip.AddrPort]bool
	deaf   map[netip.AddrPort]bool // answers no OPTIONS
	queued []func()                // what a core that hangs will work off when it goes on
	refuse map[netip.AddrPort]int  // answers everything with this status
	lossy  map[netip.AddrPort]float64
	paused bool // the server says nothing
	// deadline is that of a NOTIFY.
	deadline time.Duration
	drawn    uint64 // lots for what is lost
	phones   []*phone
	byAOR    map[string]*phone
	// What happened, and when.
	messages, signOuts []time.Time
	told, attempt      map[string]int
	alarms             []string
	server             int // NOTIFYs that it could send
	stop               chan struct{}
}

type phone struct {
	aor        string
	hop        netip.AddrPort
	dialog     int
	cseq       uint32
	subscribed bool // as the server knows
	works      bool // a NOTIFY of the present dialog got through
	dead       bool
	ignores    bool // MESSAGEs
	gone       bool // signed out
	away       bool // the core has forgotten it, until it registers again
}

const deadline = 28 * time.Second

func townConfig() recovery.Config {
	cfg := config()
	cfg.Hold.Limits.Off = false
	cfg.MessageRate, cfg.DeregisterRate, cfg.DeregisterCap = 200, 5, 1000
	return cfg
}

// inTown runs a test with so many phones, dealt out to the hops.
func inTown(t *testing.T, cfg recovery.Config, phones, hops int, test func(*town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, cfg, phones, hops)
		test(w)
		close(w.stop)
		w.shut()
		time.Sleep(2 * deadline) // timers of the phones
	})
}

func newTown(t *testing.T, cfg recovery.Config, phones, hops int) *town {
	t.Helper()
	w := &town{
		t: t, began: time.Now(), cfg: cfg, deadline: deadline, store: store.NewMemoryStore(),
		down: make(map[netip.AddrPort]bool), deaf: make(map[netip.AddrPort]bool),
		refuse: make(map[netip.AddrPort]int), lossy: make(map[netip.AddrPort]float64),
		byAOR: make(map[string]*phone), told: make(map[string]int), attempt: make(map[string]int), stop: make(chan struct{}),
	}
	for i := range hops {
		w.hops = append(w.hops, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 5060))
	}
	w.cfg.Hold.Probe = w.probe
	w.cfg.Hold.Shared = func(hop netip.AddrPort) bool { return hop == w.hops[0] }
	w.open()
	for i := range phones {
		p := &phone{aor: fmt.Sprintf("sip:user-%d@ims.example", i), hop: w.hops[i%hops]}
		w.phones, w.byAOR[p.aor] = append(w.phones, p), p
		w.register(p)
		w.subscribe(p)
	}
	synctest.Wait()
	return w
}

// open starts rewatch, with what the store has of an earlier one.
func (w *town) open() {
	w.t.Helper()
	log := zerolog.New(io.Discard)
	metrics := prometheus.NewRegistry()
	table := monitor.NewTable(monitor.Config{DryRun: w.cfg.DryRun, NotifyTimeout: w.deadline}, metrics)
	engine := recovery.New(w.cfg, table, w, w, w.store, log, metrics)
	monitor := monitor.New(table, engine, log, metrics)
	keeper := store.NewKeeper(store.KeeperConfig{Every: time.Second}, w.store, log, table.Source(), engine.Source())
	if err := keeper.Restore(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	keeper.Start(context.Background())
	if err := engine.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	monitor.Start(w.t.Context())
	w.change(func() { w.away, w.Engine, w.monitor, w.keeper, w.metrics = false, engine, monitor, keeper, metrics })
}

// shut ends rewatch in good order.
func (w *town) shut() {
	w.t.Helper()
	w.change(func() { w.away = true })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := errors.Join(w.Shutdown(ctx), w.monitor.Shutdown(ctx), w.keeper.Shutdown(ctx)); err != nil {
		w.t.Errorf("shutdown: %v", err)
	}
}

func (w *town) message(p *phone) *dialogs.Message {
	return &dialogs.Message{
		At: time.Now(), Source: p.hop, Transport: "udp", CallID: fmt.Appendf(nil, "%s-%d", p.aor, p.dialog),
		RequestURI: []byte("sip:bob@ims.example"), Event: dialogstest.Event("presence"),
		Contacts: dialogstest.Contacts("<" + p.aor + ";x>"), Expires: 3600, CSeq: 1,
		FromURI: []byte(p.aor), FromTag: []byte("w"), ToURI: []byte("sip:bob@ims.example"),
	}
}

func (w *town) register(p *phone) {
	m := w.message(p)
	m.FromURI, m.ToURI, m.Contacts = []byte("sip:scscf.ims.example"), []byte(p.aor), dialogstest.Contacts("<sip:scscf.ims.example>")
	m.CallID = fmt.Appendf(nil, "reg-%s-%d", p.aor, time.Now().UnixNano())
	w.monitor.Register(m)
	w.change(func() { p.gone, p.away = false, false })
}

// subscribe opens a new dialog, if the core lets it through.
func (w *town) subscribe(p *phone) {
	w.mu.Lock()
	if w.down[p.hop] || p.dead || p.gone || w.refuse[p.hop] >= 500 || p.away {
		w.mu.Unlock()
		return
	}
	if w.away {
		w.mu.Unlock()
		w.again(func() { w.subscribe(p) })
		return
	}
	p.dialog++
	p.subscribed, p.works, p.cseq = true, false, 0
	m := w.message(p)
	w.mu.Unlock()
	w.monitor.Subscribe(m)
	m.Status, m.ToTag = 200, []byte("s")
	w.monitor.SubscribeDone(m)
	w.notify(p)
}

// notify sends a NOTIFY in the present dialog.
func (w *town) notify(p *phone) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !p.subscribed {
		return
	}
	if w.away {
		w.again(func() { w.notify(p) })
		return
	}
	w.server++
	p.cseq++
	m := w.message(p)
	m.Side, m.CSeq, m.State = dialogs.Server, p.cseq, dialogstest.State("active;expires=3600")
	m.FromURI, m.FromTag, m.ToURI, m.ToTag = []byte("sip:bob@ims.example"), []byte("s"), []byte(p.aor), []byte("w")
	ref, ruling := w.monitor.Notify(m)
	if ruling.Status != 0 {
		p.subscribed = false
		return
	}
	o := dialogs.Outcome{CSeq: p.cseq, Hop: p.hop, RetryAfter: -1, Kind: dialogs.TimedOut}
	after := w.deadline
	if !w.down[p.hop] && !p.dead && !w.loses(p.hop) {
		o.Kind, o.Status, after = dialogs.Responded, 200, 5*time.Millisecond
		if status := w.refuse[p.hop]; status != 0 {
			o.Status = status
		}
	}
	dialog, monitor := p.dialog, w.monitor
	time.AfterFunc(after, func() {
		if w.ended(monitor) {
			w.notify(p) // rewatch was started anew: the server repeats itself
			return
		}
		w.done(p, dialog, ref, o)
	})
	if sent := time.Now(); o.Kind == dialogs.TimedOut && !p.dead {
		w.queued = append(w.queued, func() {
			if time.Since(sent) > after {
				o.Kind, o.Status, o.Late, o.At = dialogs.Responded, 200, true, time.Now()
				w.monitor.NotifyDone(ref, o)
			}
		})
	}
}

// loses draws a lot for what is sent over a hop: the same in every run.
func (w *town) loses(hop netip.AddrPort) bool {
	w.drawn = w.drawn*6364136223846793005 + 1442695040888963407
	return float64(w.drawn>>11)/(1<<53) < w.lossy[hop]
}

// again repeats what nobody answered, unless the test ends.
func (w *town) again(request func()) {
	select {
	case <-w.stop:
	default:
		time.AfterFunc(500*time.Millisecond, request)
	}
}

// ended says whether a rewatch is no more.
func (w *town) ended(monitor *monitor.Monitor) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.monitor != monitor
}

// workOffQueue lets a core that hung go on with what lay in its queues.
func (w *town) workOffQueue() {
	w.mu.Lock()
	queued := w.queued
	w.queued = nil
	w.mu.Unlock()
	for _, answer := range queued {
		answer()
	}
}

func (w *town) done(p *phone, dialog int, ref dialogs.Ref, o dialogs.Outcome) {
	o.At = time.Now()
	w.mu.Lock()
	monitor := w.monitor
	w.mu.Unlock()
	v := monitor.NotifyDone(ref, o)
	w.mu.Lock()
	if dialog == p.dialog {
		p.works = o.Kind == dialogs.Responded && o.Status == 200
		if v.Status == 481 {
			p.subscribed = false
		}
	}
	w.mu.Unlock()
	monitor.Announce(ref, o.CSeq)
}

// run sends NOTIFYs to everybody in turn until the test ends.
func (w *town) run(perSecond int) { w.runEvery(time.Second / time.Duration(perSecond)) }

func (w *town) runEvery(pause time.Duration) {
	go func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				w.mu.Lock()
				paused := w.paused
				w.mu.Unlock()
				if !paused {
					w.notify(w.phones[i%len(w.phones)])
				}
			}
		}
	}()
}

// fails tells of a NOTIFY of another subscription of a phone that got no answer.
func (w *town) fails(p *phone) {
	now, sub := time.Now(), broken("bob", "x")
	sub.Contact = p.aor + ";x"
	w.Failed(dialogs.Failure{
		AOR: p.aor, Hop: p.hop, Sent: now.Add(-w.deadline), Silent: true,
		Event: policy.Event{Kind: policy.NotifyFailed, At: now, Sub: sub},
	})
}

// pause lets the server say nothing, or go on.
func (w *town) pause(on bool) { w.change(func() { w.paused = on }) }

// subscribeElse tells the policy that what was offered by hand is whole again.
func (w *town) subscribeElse(p *phone) {
	time.AfterFunc(10*time.Second, func() {
		w.Offer(p.aor, policy.Event{Kind: policy.Subscribed, At: time.Now(), Sub: broken("eve", "y")})
		w.Offer(p.aor, policy.Event{Kind: policy.NotifyOK, At: time.Now(), Sub: broken("eve", "y")})
	})
}

// change changes something about the phones or the core.
func (w *town) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *town) silence(hop int, down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down[w.hops[hop]] = down
}

// at lets the time pass until d after the beginning.
func (w *town) at(d time.Duration) {
	w.t.Helper()
	time.Sleep(time.Until(w.began.Add(d)))
	synctest.Wait()
}

// broken counts the phones whose subscription does not work.
func (w *town) broken() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, p := range w.phones {
		if !p.subscribed || !p.works {
			n++
		}
	}
	return n
}

func (w *town) between(times *[]time.Time, from, to time.Duration) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, at := range *times {
		if d := at.Sub(w.began); d >= from && d < to {
			n++
		}
	}
	return n
}

// expectNoStrikes checks that nobody has one.
func (w *town) expectNoStrikes() {
	w.t.Helper()
	for _, s := range w.States() {
		if s.Sent != 0 || s.Phase != 0 {
			w.t.Errorf("%s is left with %+v", s.AOR, s.State)
			return
		}
	}
}

// The core.

func (w *town) probe(ctx context.Context, hop netip.AddrPort) bool {
	w.mu.Lock()
	down, broken := w.down[hop] || w.deaf[hop], w.refuse[hop] >= 500
	w.mu.Unlock()
	if down {
		<-ctx.Done()
		return false
	}
	if broken {
		return false
	}
	time.Sleep(5 * time.Millisecond)
	return true
}

func (w *town) reach(ctx context.Context, p *phone) dialogs.Result {
	w.mu.Lock()
	lost, status := w.down[p.hop] || p.dead || w.loses(p.hop), w.refuse[p.hop]
	if p.away {
		status = 480
	}
	w.mu.Unlock()
	if !lost && status != 0 {
		return dialogs.Result{Status: status}
	}
	if !lost {
		time.Sleep(10 * time.Millisecond)
		return dialogs.Result{Status: 200, Reason: "OK"}
	}
	select {
	case <-time.After(32 * time.Second):
		return dialogs.Result{Err: dialogs.ErrNoResponse}
	case <-ctx.Done():
		return dialogs.Result{Err: ctx.Err()}
	}
}

func (w *town) Message(ctx context.Context, m dialogs.MessageJob) dialogs.Result {
	w.mu.Lock()
	w.messages = append(w.messages, time.Now())
	w.told[m.AOR]++
	w.attempt[m.AOR] = m.Attempt
	p := w.byAOR[m.AOR]
	w.mu.Unlock()
	r := w.reach(ctx, p)
	if r.OK() && !p.ignores {
		time.AfterFunc(100*time.Millisecond, func() { w.subscribe(p) })
	}
	return r
}

// sent is the number of MESSAGEs so far.
func (w *town) sent() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.messages)
}

// gone is the number of de-REGISTERs so far, toldOf that of the MESSAGEs to one user.
func (w *town) gone() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.signOuts)
}

func (w *town) toldOf(aor string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told[aor]
}

func (w *town) Terminate(context.Context, dialogs.TerminateJob) dialogs.Result {
	return dialogs.Result{Status: 200}
}

// Deregister is answered by the registrar, which a dead phone does not hinder.
func (w *town) Deregister(_ context.Context, j dialogs.DeregisterJob) dialogs.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j.Target == dialogs.AtCore {
		w.signOuts = append(w.signOuts, time.Now())
		w.byAOR[j.AOR].gone = true
	}
	return dialogs.Result{Status: 200, Reason: "OK"}
}

func (w *town) Raise(a alarm.Alarm) {
	w.note(fmt.Sprintf("raise %s %s %s", a.Name, a.Object, a.Severity))
}

func (w *town) Clear(name, object string, _ time.Time) {
	w.note(fmt.Sprintf("clear %s %s", name, object))
}

func (w *town) Adopt(a alarm.Alarm) { w.note("adopt " + a.Name) }

func (w *town) Release(name, _ string) { w.note("release " + name) }

func (*town) Amend(_, _, _ string) {}

func (w *town) note(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alarms = append(w.alarms, line)
}

func (w *town) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := ""
	for _, a := range w.alarms {
		text += "[" + a + "]"
	}
	return text
}

// count is the value of a counter whose only label has this value.
func (w *town) count(name, label string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	w.t.Fatalf("no metric %s %q", name, label)
	return 0
}
