// Package recent remembers for a while which addresses have failed, or refuse something.
package recent

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Addresses are those that were added in the last while. Its methods may be called from any
// goroutine.
type Addresses struct {
	ttl     time.Duration
	full    prometheus.Counter // counts what there was no room for
	n       atomic.Int32       // nothing remembered costs one load
	mu      sync.Mutex
	m       map[netip.AddrPort]span
	sweepAt time.Time // not before
}

// span is how long an address is remembered: since it was added first, until it is forgotten.
type span struct{ since, until time.Time }

const (
	// most bounds what is remembered.
	most = 4096
	// sweepPause is how often all of it is looked at, at most.
	sweepPause = time.Second
)

// New makes it; each address is remembered for ttl. full counts those that there was no room
// for.
func New(ttl time.Duration, full prometheus.Counter) *Addresses {
	return &Addresses{ttl: ttl, full: full, m: map[netip.AddrPort]span{}}
}

// Add remembers an address, unless there are too many: those that are there keep
// their place. An address that is not valid is none.
func (m *Addresses) Add(a netip.AddrPort, now time.Time) {
	if !a.IsValid() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	have, known := m.m[a]
	if !known && len(m.m) >= most && !m.sweep(now) {
		m.full.Inc()
		return
	}
	if !known || now.After(have.until) {
		have.since = now
	}
	have.until = now.Add(m.ttl)
	m.m[a] = have
	m.n.Store(int32(len(m.m))) //nolint:gosec // bounded
}

// sweep forgets what is over, and tells whether that made room.
func (m *Addresses) sweep(now time.Time) bool {
	if now.Before(m.sweepAt) {
		return false
	}
	m.sweepAt = now.Add(sweepPause)
	for a, have := range m.m {
		if now.After(have.until) {
			delete(m.m, a)
		}
	}
	return len(m.m) < most
}

// Has tells whether an address was added in the last while. Where none was it costs one load.
func (m *Addresses) Has(a netip.AddrPort, now time.Time) bool { return m.HasSince(a, now, now) }

// HasSince tells whether an address was added in the last while, and for the first time not
// after since.
func (m *Addresses) HasSince(a netip.AddrPort, since, now time.Time) bool {
	if m.n.Load() == 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	have, ok := m.m[a]
	if ok && now.After(have.until) {
		delete(m.m, a)
		m.n.Store(int32(len(m.m))) //nolint:gosec // bounded
		return false
	}
	return ok && !have.since.After(since)
}
