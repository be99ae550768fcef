package recent

import (
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestFull keeps what is there, and makes room by forgetting what is over.
func TestFull(t *testing.T) {
	full := prometheus.NewCounter(prometheus.CounterOpts{Name: "full"})
	m := New(time.Minute, full)
	now := time.Unix(1000, 0)
	at := func(port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("10.0.0.3"), uint16(port))
	}
	m.Add(netip.AddrPort{}, now)
	for i := range most + 1 {
		m.Add(at(i+1), now)
	}
	if !m.Has(at(1), now) || m.Has(at(most+1), now) || len(m.m) != most {
		t.Error("the first one made room for the last")
	}
	later := now.Add(time.Minute + time.Second)
	if m.Add(at(most+1), later); !m.Has(at(most+1), later) || len(m.m) != 1 {
		t.Error("what is over is not forgotten")
	}
	if m.Has(at(most+1), later.Add(time.Minute+time.Second)) || len(m.m) != 0 {
		t.Error("one that is over")
	}
}

// TestSince: an address is known since it was added first, until it is forgotten.
func TestSince(t *testing.T) {
	m := New(time.Minute, prometheus.NewCounter(prometheus.CounterOpts{Name: "full"}))
	a, start := netip.MustParseAddrPort("10.0.0.3:5060"), time.Unix(1000, 0)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	m.Add(a, at(0))
	m.Add(a, at(10))
	for _, c := range []struct {
		since, now int
		want       bool
	}{{0, 10, true}, {-1, 10, false}, {0, 69, true}, {0, 71, false}} {
		if got := m.HasSince(a, at(c.since), at(c.now)); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
	m.Add(a, at(100))
	if m.HasSince(a, at(99), at(101)) || !m.HasSince(a, at(100), at(101)) {
		t.Error("what was forgotten is new")
	}
}
