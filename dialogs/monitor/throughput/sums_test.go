package throughput

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/policy/outage"
)

// listener is an Engine that notes what it is told.
type listener struct {
	dialogs.Recovery
	told []string
}

func (l *listener) Passed(_ time.Time, hop netip.AddrPort, got outage.Passes) {
	l.told = append(l.told, fmt.Sprintf("%d passed by %s", got.N, hop))
}

func (l *listener) Heard(_ time.Time, source netip.AddrPort, got outage.Passes) {
	l.told = append(l.told, fmt.Sprintf("%d heard from %s", got.N, source))
}

// What the shards have counted is added up by hop, told once, and forgotten.
func TestCollect(t *testing.T) {
	var mu sync.Mutex
	shards := make([]Counts, 3)
	l := &listener{}
	p := New(l, func(take func(*Counts)) {
		mu.Lock()
		defer mu.Unlock()
		for i := range shards {
			take(&shards[i])
		}
	})
	now := time.Now()
	expect := func(want ...string) {
		t.Helper()
		slices.Sort(l.told)
		if !slices.Equal(l.told, want) {
			t.Errorf("told %q, want %q", l.told, want)
		}
		l.told = nil
	}
	shards[0].Add(testHop(1), now, 7)
	shards[2].Add(testHop(1), now, 8)
	shards[2].Add(testHop(2), now, 8)
	p.Heard(&dialogs.Message{Source: testHop(3)}, now, "sip:a@ims.example")
	p.Heard(&dialogs.Message{Source: testHop(3)}, now, "sip:b@ims.example")
	p.Heard(&dialogs.Message{}, now, "sip:c@ims.example") // from nowhere
	p.Collect(now)
	expect("1 passed by 10.0.0.2:5060", "2 heard from 10.0.0.3:5060", "2 passed by 10.0.0.1:5060")
	p.Collect(now)
	expect()

	// A failure asks for what passed before it, but not for each of a burst.
	shards[1].Add(testHop(1), now, 7)
	p.CollectFor(now.Add(collectSoonest - 1))
	expect()
	p.CollectFor(now.Add(collectSoonest))
	expect("1 passed by 10.0.0.1:5060")
	p.Heard(&dialogs.Message{Source: testHop(4)}, now, "sip:a@ims.example")
	p.Collect(now)
	expect("1 heard from 10.0.0.4:5060")
}
