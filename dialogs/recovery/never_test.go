package recovery_test

import (
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/aor"
	"rewatch/policy"
)

// Whom the operator has named is given up with its alarm, and neither signed out nor
// refused; nobody else is spared by that.
func TestNeverSignOut(t *testing.T) {
	for _, on := range []policy.OnThreshold{policy.Deregister, policy.Ban} {
		for pattern, spared := range map[aor.Pattern]bool{"sip:alice@*": true, "sip:bob@*": false} {
			cfg := config()
			cfg.Rules.Threshold, cfg.Rules.OnThreshold = 1, on
			cfg.NeverSignOut = aor.Patterns{pattern}.Match
			inBubble(t, cfg, func(r *rig) {
				r.offer(policy.NotifyFailed, "bob", "call-1")
				r.at(10 * time.Minute)
				r.mu.Lock()
				diary := strings.Join(r.diary, "\n")
				r.mu.Unlock()
				out, raised := strings.Contains(diary, "REGISTER"), strings.Contains(diary, policy.AlarmExhausted)
				if refused := r.Banned(alice, time.Now()); out == spared || refused != (!spared && on == policy.Ban) || !raised {
					t.Errorf("%v, never %s: refused %v,\n%s", on, pattern, refused, diary)
				}
			})
		}
	}
}

// One who was given up before the operator named it is spared from then on.
func TestNeverSignOutAfterRestart(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold, cfg.Rules.OnThreshold = 1, policy.Ban
	inBubble(t, cfg, func(r *rig) {
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(10 * time.Minute)
		if !r.Banned(alice, time.Now()) {
			t.Error("the user is not refused")
		}
		cfg.NeverSignOut = aor.Patterns{"*"}.Match
		again := newRig(t, cfg, r.store)
		if again.Banned(alice, time.Now()) {
			t.Error("the user is refused still")
		}
		again.stop()
	})
}

// A failure of one who is not recovered tells of the path: it leads to nothing for its
// watcher, and with those of others to a hold.
func TestWitness(t *testing.T) {
	inTown(t, townConfig(), 40, 1, func(w *town) {
		w.run(5)
		w.at(time.Minute + 50*time.Millisecond) // nothing is under way
		fail := func(p *phone, witness bool) {
			w.Failed(dialogs.Failure{
				AOR: p.aor, Hop: p.hop, Sent: time.Now(), Silent: true, Witness: witness,
				Event: policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: policy.Broken{Event: "presence", CallID: p.aor}},
			})
		}
		w.silence(0, true)
		for _, p := range w.phones[:39] {
			fail(p, true)
		}
		w.at(3 * time.Minute)
		if w.sent() != 0 || len(w.States()) != 0 {
			t.Errorf("%d MESSAGEs, states %v", w.sent(), w.States())
		}
		if w.gauge("rewatch_outage") != 1 {
			t.Error("nothing is held")
		}
	})
}
