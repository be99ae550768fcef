package monitor

import (
	"net/netip"
	"testing"
	"time"

	"rewatch/dialogs"
)

func testHop(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5060) //nolint:gosec // small
}

func TestPassesAreCountedByHop(t *testing.T) {
	m, rec := newTestMonitor(Config{})
	msg := notifyMessage("call", 0)
	for i := range 90 {
		msg.CSeq++
		ref, _ := m.Notify(msg)
		m.NotifyDone(ref, dialogs.Outcome{At: msg.At, Status: 200, RetryAfter: -1, CSeq: msg.CSeq, Hop: testHop(i % 3)})
	}
	m.throughput.collect(msg.At)
	m.throughput.collect(msg.At)
	for i := range 3 {
		if n := rec.passed[testHop(i)]; n != 30 {
			t.Errorf("%d passed over hop %d", n, i)
		}
	}
}

// Beyond the bound nothing is lost, only the hop.
func TestHopCountsAreBounded(t *testing.T) {
	var sh subShard
	for i := range 10 * maxHopCounts {
		sh.through(testHop(i))
	}
	n := 0
	for _, c := range sh.hops {
		n += c.n
	}
	if len(sh.hops) != maxHopCounts || n != 10*maxHopCounts {
		t.Errorf("%d hops, %d NOTIFYs", len(sh.hops), n)
	}
	if allocated := testing.AllocsPerRun(100, func() { sh.through(testHop(7)) }); allocated > 0 {
		t.Errorf("%v allocations", allocated)
	}
}

// A failure is judged with the successes that came before it, collected or not.
func TestFailureCollects(t *testing.T) {
	m, rec := newTestMonitor(Config{})
	m.throughput.collect(time.Now().Add(-time.Second))
	msg := notifyMessage("call", 1)
	ref, _ := m.Notify(msg)
	m.NotifyDone(ref, dialogs.Outcome{At: msg.At, Status: 200, RetryAfter: -1, CSeq: 1, Hop: testHop(1)})
	msg.CSeq = 2
	ref, _ = m.Notify(msg)
	m.NotifyDone(ref, dialogs.Outcome{At: msg.At, Status: 480, RetryAfter: -1, CSeq: 2, Hop: testHop(1)})
	m.Announce(ref, 2)
	if n := rec.passed[testHop(1)]; n != 1 {
		t.Errorf("%d passed", n)
	}
}
