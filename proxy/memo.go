package proxy

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// memo remembers addresses for a while: those that failed, those that refuse TCP.
type memo struct {
	ttl time.Duration
	n   atomic.Int32 // nothing remembered costs one load
	mu  sync.Mutex
	m   map[netip.AddrPort]time.Time
}

// maxMemo bounds what is remembered.
const maxMemo = 4096

func newMemo(ttl time.Duration) *memo { return &memo{ttl: ttl, m: map[netip.AddrPort]time.Time{}} }

func (m *memo) add(a netip.AddrPort, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.m) >= maxMemo {
		clear(m.m)
	}
	m.m[a] = now.Add(m.ttl)
	m.n.Store(int32(len(m.m))) //nolint:gosec // bounded
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
