package recovery

import (
	"testing"

	"rewatch/policy"
)

// A turn is refused whatever another replica has done that it would do once more, and is
// not refused else.
func TestYield(t *testing.T) {
	ours := policy.State{Phase: policy.Notifying, Sent: 2}
	for name, c := range map[string]struct {
		other policy.State
		sent  bool
	}{
		"nothing":                    {policy.State{Phase: policy.Notifying, Sent: 2}, true},
		"told once before":           {policy.State{Phase: policy.Waiting, Sent: 1}, true},
		"MESSAGE under way":          {policy.State{Phase: policy.Notifying, Sent: 2, Transmitted: true}, false},
		"MESSAGE answered":           {policy.State{Phase: policy.Waiting, Sent: 2}, false},
		"MESSAGE answered, and back": {policy.State{Phase: policy.Proving, Sent: 2}, false},
		"signed out":                 {policy.State{Phase: policy.Exhausted, Sent: 2, SignedOut: true}, false},
		"left registered":            {policy.State{Phase: policy.Exhausted, Sent: 2, StaysRegistered: true}, false},
	} {
		transmit := []policy.Action{{Kind: policy.Transmit}}
		changes := []change{
			{event: policy.Event{Kind: policy.NotifyFailed}, actions: []policy.Action{{Kind: policy.RaiseAlarm}}},
			{event: policy.Event{Kind: policy.Turn}, actions: transmit, turn: make(chan bool, 1)},
		}
		got := yield(changes, ours, c.other)
		if sent := len(got[1].actions) > 0; sent != c.sent {
			t.Errorf("%s: sent %v, want %v", name, sent, c.sent)
		}
		if len(got[0].actions) != 1 || len(changes[1].actions) != 1 {
			t.Errorf("%s: something else was changed", name)
		}
	}
}
