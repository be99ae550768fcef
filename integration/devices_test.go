//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTwoDevicesOneDead: one phone of a user dies, the other one lives. At the threshold
// exactly the binding of the dead one is gone at the real registrar. The other phone gets
// its NOTIFYs, in the dialog that it had; the real presence server hears of no end, and
// neither does the core.
func TestTwoDevicesOneDead(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string]struct {
		threshold int
		instance  bool   // the phones tell who they are (RFC 5626 4.1)
		resource  string // what the desk phone subscribes to upon a MESSAGE
	}{
		"deaf":              {threshold: 1},
		"obeys":             {threshold: 3, resource: "bob"},
		"deaf, by instance": {threshold: 3, instance: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			server, core, hook := s.startPresence(), s.startCore(), s.startWebhook()
			r := s.startRewatch(env{
				"REWATCH_THRESHOLD": fmt.Sprint(plan.threshold), "REWATCH_NOTIFY_TIMEOUT": "1s",
				"REWATCH_RESUBSCRIBE_TIMEOUT": "2s", "REWATCH_ALARM_WEBHOOK": hook.url,
			})
			mobile, desk := s.startPhone("alice", 50), s.startPhone("alice", 51)
			if plan.instance {
				mobile.params, desk.params = `;+sip.instance="<urn:uuid:1>"`, `;+sip.instance="<urn:uuid:2>"`
			}
			desk.recoverBy(plan.resource)
			mobile.register(600)
			desk.register(600)
			lost, kept := mobile.subscribed("bob"), desk.subscribed("bob")
			mobile.dies(true)
			s.publish("bob", "here")
			desk.notified(kept)

			eventually(t, patient, "the mobile is signed out", func() bool { return !core.bound("alice", "alice@"+mobile.addr) })
			eventually(t, patience, "the alarm is told", func() bool { return len(hook.of("watcher-exhausted", "alice", false)) == 1 })
			if n := desk.count(to("MESSAGE", "alice")); n != plan.threshold {
				t.Errorf("%d MESSAGEs, want %d", n, plan.threshold)
			}
			holds(t, 3*time.Second, "the desk phone stays, and nothing more happens", func() bool {
				return core.bound("alice", "alice@"+desk.addr) && core.deregistered("alice") == 1
			})
			if left := server.watchers("alice"); slices.Contains(left, lost.callID) || !slices.Contains(left, kept.callID) {
				t.Errorf("the server has %v; lost is %s, kept %s", left, lost.callID, kept.callID)
			}
			if n := r.metric("rewatch_registrations"); n != 1 {
				t.Errorf("%v registrations are left", n)
			}
			if n := r.metric("rewatch_deregistrations_total", `target="server"`); n != 0 {
				t.Errorf("the server was told %v times that the user has gone", n)
			}
			s.publish("bob", "there")
			told := desk.expect(patience, "the news", func(m *message) bool {
				return m.method == "NOTIFY" && m.callID() == kept.callID && strings.Contains(m.body, "there")
			})
			if told.cseq() < 3 {
				t.Errorf("the news are the NOTIFY %d of the dialog", told.cseq())
			}

			// The mobile is switched on again.
			mobile.dies(false)
			mobile.register(600)
			mobile.subscribed("bob")
			eventually(t, patience, "the alarm is cleared", func() bool { return len(hook.of("watcher-exhausted", "alice", true)) == 1 })
			if !core.bound("alice", "alice@"+desk.addr) || !core.bound("alice", "alice@"+mobile.addr) {
				t.Error("not both phones are registered")
			}
		})
	}
}
