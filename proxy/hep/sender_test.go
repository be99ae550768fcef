package hep

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

var here, there = netip.MustParseAddrPort("10.0.0.1:5060"), netip.MustParseAddrPort("10.0.0.2:5060")

// collector is a connection that keeps what is written to it.
type collector struct {
	net.Conn

	err    error
	block  chan struct{}
	got    []string
	closed int
}

func (c *collector) Write(b []byte) (int, error) {
	if c.block != nil {
		<-c.block
	}
	if c.err != nil {
		return 0, c.err
	}
	c.got = append(c.got, string(b))
	return len(b), nil
}

func (c *collector) Close() error {
	c.closed++
	return nil
}

// sender makes a Sender to a collector; dials counts, and may fail.
func sender(c *collector, buffers int, dials *int, fail *error) (*Sender, prometheus.Counter) {
	dropped := prometheus.NewCounter(prometheus.CounterOpts{Name: "dropped"})
	return New(Config{
		Collector: "homer:9060", Capture: 7, Dropped: dropped, Buffers: buffers,
		Dial: func(context.Context, string) (net.Conn, error) {
			*dials++
			return c, *fail
		},
	}), dropped
}

// count is the value of a counter.
func count(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		panic(err)
	}
	return m.GetCounter().GetValue()
}

func TestSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collector
		var dials int
		var fail error
		s, dropped := sender(&c, 4, &dials, &fail)
		s.Start(t.Context())
		s.Mirror("udp", there, here, sip)
		s.Mirror("tcp", here, there, sip)
		synctest.Wait()
		m := Message{Transport: "udp", From: there, To: here, At: time.Now(), Capture: 7, Raw: sip}
		if len(c.got) != 2 || c.got[0] != string(m.Append(nil)) {
			t.Errorf("got %q", c.got)
		}
		time.Sleep(2 * renewal)
		s.Mirror("udp", here, there, sip)
		synctest.Wait()
		if len(c.got) != 3 || dials != 2 || c.closed != 1 {
			t.Errorf("%d packets, %d dials, %d closed", len(c.got), dials, c.closed)
		}
		if err := s.Shutdown(t.Context()); err != nil || c.closed != 2 || count(dropped) != 0 {
			t.Errorf("%v, %d closed, %v dropped", err, c.closed, count(dropped))
		}
	})
}

// TestFull: a collector that takes nothing is not waited for.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := collector{block: make(chan struct{})}
		var dials int
		var fail error
		s, dropped := sender(&c, 3, &dials, &fail)
		s.Start(t.Context())
		for range 10 {
			s.Mirror("udp", here, there, sip)
		}
		if n := count(dropped); n != 7 {
			t.Errorf("%v dropped", n)
		}
		close(c.block)
		synctest.Wait()
		s.Mirror("udp", here, there, sip)
		if err := s.Shutdown(t.Context()); err != nil || len(c.got) != 4 {
			t.Errorf("%v, %d packets", err, len(c.got))
		}
	})
}

// TestAway: the name of the collector is not known, later it is; then it refuses.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collector
		var dials int
		fail := errors.New("no such host")
		s, dropped := sender(&c, 100, &dials, &fail)
		s.Start(t.Context())
		for range 5 {
			s.Mirror("udp", here, there, sip)
		}
		synctest.Wait()
		if dials != 1 || count(dropped) != 5 {
			t.Errorf("%d dials, %v dropped", dials, count(dropped))
		}
		fail = nil
		time.Sleep(recovery)
		s.Mirror("udp", here, there, sip)
		synctest.Wait()
		c.err = errors.New("connection refused")
		s.Mirror("udp", here, there, sip)
		synctest.Wait()
		c.err = nil
		s.Mirror("udp", here, there, sip)
		if err := s.Shutdown(t.Context()); err != nil || len(c.got) != 2 || dials != 2 || count(dropped) != 6 {
			t.Errorf("%v, %d packets, %d dials, %v dropped", err, len(c.got), dials, count(dropped))
		}
	})
}

func TestTooLarge(t *testing.T) {
	s, dropped := sender(&collector{}, 1, new(int), new(error))
	s.Mirror("tcp", here, there, make([]byte, MaxRaw+1))
	if count(dropped) != 1 || len(s.full) != 0 {
		t.Error("it was taken")
	}
}

func TestMirrorDoesNotAllocate(t *testing.T) {
	s, _ := sender(&collector{}, 1, new(int), new(error))
	if n := testing.AllocsPerRun(100, func() {
		s.Mirror("udp", here, there, sip)
		s.free <- <-s.full
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMirror(b *testing.B) {
	s, _ := sender(&collector{}, 1, new(int), new(error))
	raw := make([]byte, 1000)
	b.ReportAllocs()
	for b.Loop() {
		s.Mirror("udp", here, there, raw)
		s.free <- <-s.full
	}
}
