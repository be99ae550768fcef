package recovery_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/cmd/rewatch/budget/budgettest"
	"rewatch/dialogs"
	"rewatch/dialogs/recovery/ladder"
	"rewatch/policy"
)

// longest is the failure of a subscription all of whose names are as long as they may be.
func longest(user, i int) policy.Event {
	name := fmt.Sprintf("%d-%d-", user, i)
	text := func(n int) string { return name + strings.Repeat("x", n-len(name)) }
	return policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: policy.Broken{
		Event: text(128), Resource: text(1024), CallID: text(512), Tag: text(255), Cause: text(64),
		Device: text(256), Contact: text(1024), Agent: text(48), Since: time.Now(),
	}}
}

// Users whose subscriptions have the longest names that there are, and break without end,
// take no more memory than is stated: whether they are recovered, or an outage holds them.
// Those who take little find room when those do not any more.
func TestMemoryIsBounded(t *testing.T) {
	const bytes = 24 << 20
	for _, held := range []bool{false, true} {
		t.Run(fmt.Sprint("held=", held), func(t *testing.T) {
			cfg := config()
			cfg.MaxBytes, cfg.MessageRate = bytes, 1
			inBubble(t, cfg, func(r *rig) {
				if held {
					r.Hold().ByHand("test")
				}
				hop := netip.MustParseAddrPort("10.0.0.7:5060")
				fail := func(user string, ev policy.Event) {
					r.Failed(dialogs.Failure{AOR: user, Event: ev, Hop: hop, Sent: ev.At})
				}
				dropped := func() float64 { return r.metric("rewatch_recoveries_dropped_total") }
				before := budgettest.Heap()
				for i := range 24_000 {
					fail(fmt.Sprintf("sip:%d@%s", i%200, strings.Repeat("y", 1000)), longest(i%200, i/200))
				}
				much := dropped()
				if much == 0 {
					t.Error("those who take much are never stopped")
				}
				small := policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1")}
				if fail(alice, small); dropped() != much {
					t.Error("one who takes little has no room")
				}
				for i := range 10_000 {
					fail(fmt.Sprint("sip:more-", i), longest(i, 0))
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				grown := budgettest.Heap() - before
				t.Logf("%d MiB of %d, and %d for the console", grown>>20, bytes>>20, ladder.MaxBytes>>20)
				if grown > bytes+ladder.MaxBytes || grown < bytes/2 {
					t.Errorf("%d bytes are taken", grown)
				}
				full := dropped()
				if fail("sip:late@ims.example", small); dropped() == full {
					t.Error("there is no bound")
				}
				if used := r.Usage(); used < grown-ladder.MaxBytes || used > bytes*3/2 { // texts that are shared count twice
					t.Errorf("%d bytes are taken, %d are counted", grown, used)
				}
			})
		})
	}
}
