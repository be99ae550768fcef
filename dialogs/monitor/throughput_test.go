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
	m.throughput.Collect(msg.At)
	m.throughput.Collect(msg.At)
	for i := range 3 {
		if n := rec.passed[testHop(i)]; n != 30 {
			t.Errorf("%d passed over hop %d", n, i)
		}
	}
}

// A request of a user shows that its neighbour is there; the end of a registration, and
// what comes from the server, does not.
func TestRequestsAreHeard(t *testing.T) {
	m, rec := newTestMonitor(Config{})
	msg := notifyMessage("call", 1)
	msg.Side, msg.Source, msg.Expires = dialogs.Core, testHop(1), 3600
	msg.FromURI, msg.ToURI = []byte("sip:anna@ims.example"), []byte("sip:anna@ims.example")
	m.Subscribe(msg)
	m.Register(msg)
	ended := *msg
	ended.Expires = 0
	m.Register(&ended)
	other := *msg
	other.Side = dialogs.Server
	m.Subscribe(&other)
	m.Register(&other)
	nowhere := *msg
	nowhere.Source = netip.AddrPort{}
	m.Subscribe(&nowhere)
	for range 2 {
		m.throughput.Collect(time.Now())
	}
	if len(rec.heard) != 1 || rec.heard[testHop(1)] != 2 {
		t.Errorf("heard %v", rec.heard)
	}
}

// A failure is judged with the successes that came before it, collected or not.
func TestFailureCollects(t *testing.T) {
	m, rec := newTestMonitor(Config{})
	m.throughput.Collect(time.Now().Add(-time.Second))
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
