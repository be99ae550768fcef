package monitor

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"rewatch/cmd/rewatch/budget/budgettest"
	"rewatch/dialogs"
	"rewatch/dialogs/monitor/slab"
	"rewatch/dialogs/redelivery"
)

// BenchmarkNotify is the Monitor's share of a forwarded NOTIFY and its 200.
func BenchmarkNotify(b *testing.B) {
	b.Run("redelivery", func(b *testing.B) {
		benchmarkNotify(b, 20_000, Config{Post: redelivery.NewPostman(redelivery.Options{Config: redeliverConfig})})
	})
	for _, many := range []int{1, 20_000, 200_000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) { benchmarkNotify(b, many, Config{}) })
	}
}

func benchmarkNotify(b *testing.B, many int, cfg Config) {
	m, _ := newTestMonitor(cfg)
	calls := make([][]byte, many)
	msg := notifyMessage("", 1)
	for i := range calls {
		calls[i] = fmt.Appendf(nil, "3848276298220188511-%d@10.0.0.1", i)
		msg.CallID = calls[i]
		m.Notify(msg)
	}
	o := dialogs.Outcome{At: msg.At, Status: 200, Reason: []byte("OK"), RetryAfter: -1, CSeq: 1, Hop: testHop(1)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		msg.CallID = calls[(i*7919)%many]
		ref, _ := m.Notify(msg)
		m.NotifyDone(ref, o)
	}
}

// TestNotifyAllocatesNothing: a NOTIFY and its 200 cost no memory, where none is kept and
// where they may be.
func TestNotifyAllocatesNothing(t *testing.T) {
	for name, cfg := range map[string]Config{
		"off": {}, "on": {Post: redelivery.NewPostman(redelivery.Options{Config: redeliverConfig}), NotifyTimeout: 28 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := newTestMonitor(cfg)
			msg := notifyMessage("c1", 1)
			msg.Parcel.Raw = []byte("NOTIFY")
			m.Notify(msg)
			o := dialogs.Outcome{At: msg.At, Status: 200, Reason: []byte("OK"), RetryAfter: -1, CSeq: 1, Hop: testHop(1)}
			m.NotifyDone(0, o)
			if n := testing.AllocsPerRun(1000, func() {
				ref, r := m.Notify(msg)
				if r.Status != 0 || ref == 0 {
					t.Fatal("it does not pass", r)
				}
				m.NotifyDone(ref, o)
				msg.CSeq++
				o.CSeq++
			}); n != 0 {
				t.Errorf("%.0f allocations", n)
			}
		})
	}
}

func BenchmarkSubscribe(b *testing.B) {
	m, _ := newTestMonitor(Config{MaxSubscriptions: 1 << 30})
	msg := subscribeMessage("", 1, 600)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		msg.CallID = fmt.Appendf(msg.CallID[:0], "3848276298220188511-%d@10.0.0.1", i)
		msg.Status, msg.ToTag = 0, nil
		m.Subscribe(msg)
		msg.Status, msg.ToTag = 200, []byte("server-tag")
		m.SubscribeDone(msg)
	}
}

// memoryOf makes a Monitor with n subscriptions, each of another user, and tells what
// the heap has of each.
func memoryOf(n int) (m *Monitor, each float64) {
	before := budgettest.Heap()
	m, _ = newTestMonitor(Config{})
	for i := range n {
		msg := notifyMessage(fmt.Sprintf("3848276298220188511-%d@10.0.0.1", i), 1)
		msg.ToURI = fmt.Appendf(nil, "sip:watcher%d@ims.example", i)
		m.Notify(msg)
	}
	return m, float64(budgettest.Heap()-before) / float64(n)
}

// TestSubscriptionIsSmall is the promise that a million of them fit in 1 GB: 1 KB each,
// everything included.
func TestSubscriptionIsSmall(t *testing.T) {
	m, each := memoryOf(50_000)
	if each > 1024 {
		t.Errorf("%.0f bytes", each)
	}
	runtime.KeepAlive(m)
}

// BenchmarkMemory tells the same of more, and how long they hold up a collection.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		m, each := memoryOf(100_000)
		start := time.Now()
		runtime.GC()
		b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/GC")
		b.ReportMetric(each, "B/subscription")
		runtime.KeepAlive(m)
	}
}

// BenchmarkSweep is one full pass over 100,000 subscriptions.
func BenchmarkSweep(b *testing.B) {
	m, _ := newTestMonitor(Config{})
	for i := range 100_000 {
		m.Notify(notifyMessage(fmt.Sprint("c", i), 1))
	}
	now := time.Now()
	for b.Loop() {
		for i := range shards {
			expiry{m}.subscriptions(&m.subs[i], now, true, &slab.Sweep{Slots: math.MinInt}, nil)
		}
	}
}

// TestSubscribeAllocates what is remembered and nothing else: the texts of the
// subscription, the same with the tag of the server, and those of a new watcher.
func TestSubscribeAllocates(t *testing.T) {
	m, _ := newTestMonitor(Config{})
	msg := subscribeMessage("", 1, 600)
	msg.UserAgent = []byte("phone/1.0 (of some length)")
	var n int64
	tag := []byte("server-tag")
	text := func(b []byte, before, after string) []byte {
		return append(strconv.AppendInt(append(b[:0], before...), n, 10), after...)
	}
	step := func() {
		n++
		msg.CallID = text(msg.CallID, "3848276298220188511-", "@10.0.0.1")
		msg.FromURI = text(msg.FromURI, "sip:watcher", "@ims.example")
		msg.Contacts[0].URI = text(msg.Contacts[0].URI, "sip:watcher", "@10.0.0.123:5060;ob")
		msg.Status, msg.ToTag = 0, nil
		m.Subscribe(msg)
		msg.Status, msg.ToTag = 200, tag
		m.SubscribeDone(msg)
	}
	for range 5000 {
		step()
	}
	if n := testing.AllocsPerRun(5000, step); n > 3 {
		t.Error(n, "allocations")
	}
}

// TestSubscriptionLayout: all that a NOTIFY and its 2xx touch is in one line of the cache.
func TestSubscriptionLayout(t *testing.T) {
	var s subscription
	if size, first := unsafe.Sizeof(s), unsafe.Offsetof(s.text); size > 160 || first != 64 {
		t.Errorf("%d bytes, %d of them for NOTIFYs", size, first)
	}
}
