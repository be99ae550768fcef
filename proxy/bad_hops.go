package proxy

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// memo remembers addresses for a while: those that failed, those that refuse TCP.
type memo struct {
	ttl     time.Duration
	full    prometheus.Counter // counts what there was no room for
	n       atomic.Int32       // nothing remembered costs one load
	mu      sync.Mutex
	m       map[netip.AddrPort]time.Time
	sweepAt time.Time // not before
}

const (
	// maxMemo bounds what is remembered.
	maxMemo = 4096
	// sweepPause is how often all of it is looked at, at most.
	sweepPause = time.Second
)

func newMemo(ttl time.Duration, full prometheus.Counter) *memo {
	return &memo{ttl: ttl, full: full, m: map[netip.AddrPort]time.Time{}}
}

// add remembers an address, unless there are too many: those that are there keep
// their place.
func (m *memo) add(a netip.AddrPort, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.m[a]; !known && len(m.m) >= maxMemo && !m.sweep(now) {
		m.full.Inc()
		return
	}
	m.m[a] = now.Add(m.ttl)
	m.n.Store(int32(len(m.m))) //nolint:gosec // bounded
}

// sweep forgets what is over, and tells whether that made room.
func (m *memo) sweep(now time.Time) bool {
	if now.Before(m.sweepAt) {
		return false
	}
	m.sweepAt = now.Add(sweepPause)
	for a, until := range m.m {
		if now.After(until) {
			delete(m.m, a)
		}
	}
	return len(m.m) < maxMemo
}

func (m *memo) has(a netip.AddrPort, now time.Time) bool {
	if m.n.Load() == 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.m[a]
	if ok && now.After(until) {
		delete(m.m, a)
		m.n.Store(int32(len(m.m))) //nolint:gosec // bounded
		return false
	}
	return ok
}
