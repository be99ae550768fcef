package alarm

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/budget/budgettest"
)

// Alarms about long names take no more memory than is stated, and give it back.
func TestMemoryIsBounded(t *testing.T) {
	before := budgettest.Heap()
	m := New(Config{Log: zerolog.Nop()})
	object := func(i int) string { return fmt.Sprint("sip:", i, strings.Repeat("x", 1000)) }
	for i := range 18_000 {
		m.Raise(Alarm{Name: WatcherExhausted, Object: object(i), Text: fmt.Sprint(i, strings.Repeat("ü", 4000)), RaisedAt: time.Now()})
	}
	grown := budgettest.Heap() - before
	t.Logf("%d alarms: %d MB of %d", len(m.active), grown>>20, Budget(0)>>20)
	if grown > Budget(0) || grown < maxBytes/2 {
		t.Errorf("%d bytes are taken, %d are stated", grown, Budget(0))
	}
	for _, a := range m.Active() {
		if len(a.Text) > maxText || !strings.HasSuffix(a.Text, "ü...") {
			t.Fatalf("a text of %d bytes: %s", len(a.Text), a.Text)
		}
	}
	for i := range 18_000 {
		m.Clear(WatcherExhausted, object(i), time.Now())
	}
	if m.bytes != 0 || len(m.active) != 0 {
		t.Errorf("%d bytes of %d alarms are left", m.bytes, len(m.active))
	}
}

// deaf is a Sink that takes nothing.
type deaf struct{}

func (deaf) Name() string { return "deaf" }

func (deaf) Deliver(ctx context.Context, _ Alarm) error {
	<-ctx.Done()
	return ctx.Err()
}

// What waits for sinks that take nothing takes no more memory than is stated, beside the alarms that
// are active.
func TestMemoryOfSinksIsBounded(t *testing.T) {
	const sinks = 2
	before, all := budgettest.Heap(), make([]Sink, sinks)
	for i := range all {
		all[i] = deaf{}
	}
	m := New(Config{Log: zerolog.Nop(), Sinks: all})
	for i := range queueSize {
		object := fmt.Sprint("sip:", i, strings.Repeat("x", 1000))
		m.Raise(Alarm{Name: WatcherExhausted, Object: object, Text: fmt.Sprint(i, strings.Repeat("x", maxText)), RaisedAt: time.Now()})
		m.Clear(WatcherExhausted, object, time.Now())
	}
	grown, stated := budgettest.Heap()-before, Budget(sinks)-maxBytes
	t.Logf("%d MB of %d", grown>>20, stated>>20)
	if grown > stated || grown < queueSize*1000 {
		t.Errorf("%d bytes are taken, %d are stated", grown, stated)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = m.Shutdown(ctx)
}
