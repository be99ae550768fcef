package alarm

import (
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
