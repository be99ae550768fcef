package alarm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
)

const (
	queueSize     = 1024  // changes that wait for one sink
	defaultActive = 65536 // of Config.MaxActive
	// maxBytes bounds the memory of the active alarms, in bytes, maxText the text of each.
	maxBytes = 32 << 20
	maxText  = 512
	// perAlarm is what an alarm takes beside its texts, at most; twice in the map.
	perAlarm = 2*int(unsafe.Sizeof(Alarm{})+unsafe.Sizeof(key{})) + 64
)

// Budget is the memory that a Manager with so many sinks takes at most, in bytes.
func Budget(sinks int) int64 {
	const longest = perAlarm + maxText + 1024 // the longest: an object is an address
	return maxBytes + int64((sinks+1)*queueSize*longest)
}

// size is the memory that an alarm takes, in bytes.
func (a *Alarm) size() int { return perAlarm + len(a.Object) + len(a.Text) + len(a.ID) }

// put makes an alarm active; false: there is no room. m.mu is held.
func (m *Manager) put(k key, a Alarm) bool {
	if len(m.active) >= m.max || m.bytes+a.size() > maxBytes {
		return false
	}
	m.active[k] = a
	m.bytes += a.size()
	m.gauge.WithLabelValues(a.Name).Inc()
	return true
}

// drop makes an alarm inactive; false: it was not active. m.mu is held.
func (m *Manager) drop(k key) (Alarm, bool) {
	a, ok := m.active[k]
	if ok {
		delete(m.active, k)
		m.bytes -= a.size()
		m.gauge.WithLabelValues(a.Name).Dec()
	}
	return a, ok
}

// Config is what a Manager needs.
type Config struct {
	// Sinks are told of every raise and clear. The log always is, besides.
	Sinks []Sink
	// Registerer takes rewatch_alarms_active; nil: no metric.
	Registerer prometheus.Registerer
	// Dropped counts what a full queue lost, rewatch_dropped_total with
	// reason="alarm-queue"; nil: not counted.
	Dropped prometheus.Counter
	Log     zerolog.Logger
	// Memory remembers what the sinks have not been told of; nil: nothing is remembered.
	Memory Memory
	// Shown gives the form in which the sinks and the log are told of an alarm; nil: the alarm
	// as it is. Active lists alarms as they were raised.
	Shown func(Alarm) Alarm
	// MaxActive bounds the number of active alarms; 0 is 65,536.
	MaxActive int
}

// Memory remembers of which changes the sinks were not told when a process ended, so
// that the next one can do it (Remind). It must not block, nor call the Manager.
type Memory interface {
	// Changed: an alarm was raised or cleared, and nobody has been told of it yet.
	Changed(a Alarm)
	// Told: every sink was told of it, or has refused it for good.
	Told(a Alarm)
}

// key identifies an alarm among the active ones.
type key struct{ name, object string }

// Manager knows which alarms are active and has every sink told of each change.
type Manager struct {
	max     int
	gauge   *prometheus.GaugeVec
	dropped func()
	shown   func(Alarm) Alarm
	memory  Memory
	workers []*worker
	wg      sync.WaitGroup
	stop    context.CancelFunc

	mu     sync.Mutex
	active map[key]Alarm
	bytes  int // that they take
	// recalled are the active ones of an earlier process, until they are raised.
	recalled map[key]struct{}
}

// New returns a Manager. What is raised before Start waits in the queues.
func New(cfg Config) *Manager {
	m := &Manager{
		max:     cmp.Or(cfg.MaxActive, defaultActive),
		gauge:   newGauge(cfg.Registerer),
		dropped: func() {},
		memory:  cfg.Memory,
		active:  make(map[key]Alarm),
		stop:    func() {},
	}
	if m.shown = cfg.Shown; m.shown == nil {
		m.shown = func(a Alarm) Alarm { return a }
	}
	if cfg.Dropped != nil {
		m.dropped = cfg.Dropped.Inc
	}
	for _, s := range append([]Sink{NewLog(cfg.Log)}, cfg.Sinks...) {
		m.workers = append(m.workers, newWorker(s, m, cfg.Log))
	}
	return m
}

// newGauge starts every name at zero, so that an alert rule finds the series
// before the first alarm.
func newGauge(r prometheus.Registerer) *prometheus.GaugeVec {
	g := promauto.With(r).NewGaugeVec(prometheus.GaugeOpts{
		Name: "rewatch_alarms_active",
		Help: "Alarms that are raised and not yet cleared.",
	}, []string{"name"})
	for _, name := range Names() {
		g.WithLabelValues(name).Set(0)
	}
	return g
}

// Raise makes an alarm active, unless one of its name and object already is.
// What the caller leaves empty follows from the name and the present time.
func (m *Manager) Raise(a Alarm) {
	a = fill(a)
	if a.RaisedAt.IsZero() {
		a.RaisedAt = time.Now()
	}
	if a.ID == "" {
		a.ID = ID(a)
	}
	a.ClearedAt = nil
	k := key{a.Name, a.Object}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.recalled, k)
	if _, ok := m.active[k]; ok {
		return
	}
	if !m.put(k, a) {
		m.dropped()
		return
	}
	m.tell(a)
}

// Clear ends the alarm of that name and object; without one it does nothing.
func (m *Manager) Clear(name, object string, at time.Time) {
	k := key{name, object}
	if at.IsZero() {
		at = time.Now()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.drop(k)
	if !ok {
		return
	}
	a.ClearedAt = &at
	m.tell(a)
}

// Adopt makes an alarm active without telling the sinks, because an earlier process or another
// replica has told them.
func (m *Manager) Adopt(a Alarm) {
	a = fill(a)
	a.ID, a.ClearedAt = ID(a), nil
	k := key{a.Name, a.Object}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.active[k]; !ok {
		m.put(k, a)
	}
}

// Release ends an alarm without telling the sinks, because another replica tells them.
func (m *Manager) Release(name, object string) {
	k := key{name, object}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(k)
}

// Amend changes the text of an active alarm. The sinks are not told because of that alone; the
// new text is in Active, and in what the sinks are told later.
func (m *Manager) Amend(name, object, text string) {
	k := key{name, object}
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.active[k]; ok {
		a.Text = text
		m.active[k] = a
	}
}

// tell queues a change for every sink. The caller holds m.mu, so that all sinks
// see the changes of one alarm in the order in which they happened.
func (m *Manager) tell(a Alarm) {
	c := change{Alarm: a}
	if m.memory != nil {
		m.memory.Changed(a)
		c.untold = new(atomic.Int32)
		c.untold.Store(int32(len(m.workers))) // #nosec G115 -- a few
	}
	for _, w := range m.workers {
		if lost, ok := w.push(c); ok {
			m.told(lost)
			m.dropped()
		}
	}
}

// told notes that one more sink was told of a change, or never will be.
func (m *Manager) told(c change) {
	if c.untold != nil && c.untold.Add(-1) == 0 {
		m.memory.Told(c.Alarm)
	}
}

// Active lists the active alarms, oldest first.
func (m *Manager) Active() []Alarm {
	m.mu.Lock()
	list := make([]Alarm, 0, len(m.active))
	for _, a := range m.active {
		list = append(list, a)
	}
	m.mu.Unlock()
	slices.SortFunc(list, func(a, b Alarm) int { return cmp.Or(a.RaisedAt.Compare(b.RaisedAt), compare(a, b)) })
	return list
}

// Start starts a worker for each sink; they run until Shutdown, or until ctx ends.
func (m *Manager) Start(ctx context.Context) {
	ctx, m.stop = context.WithCancel(ctx)
	for _, w := range m.workers {
		m.wg.Go(func() { w.run(ctx) })
	}
}

// Shutdown delivers what is queued and stops the workers. When ctx ends first,
// what could not be delivered is given up.
func (m *Manager) Shutdown(ctx context.Context) error {
	for _, w := range m.workers {
		w.drain()
	}
	still := make(chan struct{})
	go func() {
		m.wg.Wait()
		close(still)
	}()
	select {
	case <-still:
		m.stop()
		return nil
	case <-ctx.Done():
		m.stop()
		<-still
		return fmt.Errorf("deliver alarms: %w", ctx.Err())
	}
}

// ID is made of what identifies one raise, so that an alarm that is raised again
// from saved state after a restart keeps the id that its receivers know.
func ID(a Alarm) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", a.Name, a.Object, a.RaisedAt.UnixNano()))
	return hex.EncodeToString(sum[:8])
}
