package recovery_test

import (
	"net/netip"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/hold"
	"rewatch/dialogs/store"
	"rewatch/policy"
	"rewatch/policy/outage"
)

var heldHop = netip.MustParseAddrPort("192.0.2.1:5060")

// holds holds heldHop, since a while ago.
func (r *rig) holds() {
	r.t.Helper()
	began := time.Now().Add(-time.Minute)
	record := outage.Record{Hop: heldHop.String(), Reason: outage.ReasonNoAnswer, At: began, Since: began}
	entry := store.Entry{Kind: store.KindOutage, Key: record.Hop}.With(record, time.Time{})
	if !r.Source().Restore(entry, time.Now()) {
		r.t.Fatal("not held")
	}
}

// failure is one of alice's over heldHop.
func failure() dialogs.Failure {
	return dialogs.Failure{
		AOR: alice, Hop: heldHop, Sent: time.Now(),
		Event: policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1")},
	}
}

// inOutage runs a test with an Engine that looks out for outages.
func inOutage(t *testing.T, test func(*rig)) {
	t.Helper()
	cfg := config()
	cfg.Hold = hold.Config{}
	inBubble(t, cfg, test)
}

// A hold begins just after a failure was found to be its user's: the others were excused,
// and so is this one.
func TestHoldBeginsBehindAVerdict(t *testing.T) {
	inOutage(t, func(r *rig) {
		r.holds()
		r.Blame(failure())
		if s, _ := r.State(alice); !s.Excused || s.Phase == policy.Idle {
			t.Errorf("state %+v", s)
		}
	})
}

// A hold ends just after a failure was found to be the outage's: nobody waits for the end
// of another hold.
func TestHoldEndsBehindAVerdict(t *testing.T) {
	inOutage(t, func(r *rig) {
		r.at(time.Minute)
		r.Lose(failure())
		r.at(time.Minute + time.Second)
		r.expect(`1m0.5s MESSAGE 0 of 3 to sip:alice@ims.example by sip:scscf.ims.example:6060;lr: bob`)
	})
}

// Whoever has subscribed anew before an outage broke the old subscription is not told of it.
func TestSupersededInAnOutage(t *testing.T) {
	for _, superseded := range []bool{true, false} {
		inOutage(t, func(r *rig) {
			r.holds()
			f := failure()
			f.Superseded = superseded
			r.Failed(f)
			r.at(time.Second)
			if !r.Hold().EndHop(heldHop.String()) {
				t.Fatal("it was not held")
			}
			r.at(10 * time.Second)
			if told := r.lines("MESSAGE") > 0; told == superseded {
				t.Errorf("superseded %v: told %v", superseded, told)
			}
		})
	}
}
