package store

import (
	"testing"
	"time"

	"rewatch/policy"
)

// FuzzRecovery lets things happen to a user whom a store gave back. Whatever
// DecodeState takes, Decide goes on from, no MESSAGE goes beyond the threshold, and
// what becomes of it can be kept and taken up again.
func FuzzRecovery(f *testing.F) {
	for _, s := range []policy.State{
		{},
		{Phase: policy.Waiting, Sent: 2, Broken: make([]policy.Broken, 2), InFlight: true},
		{Phase: policy.Exhausted, StaysRegistered: true, BanAlarm: true, BannedUntil: time.Unix(1e9, 0)},
	} {
		b, err := EncodeState(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, []byte("\x00\x01\x0b\x09\x04\x08\x10\x20\x0b\x40\x05\x03"))
	}
	f.Fuzz(func(t *testing.T, state, events []byte) {
		s, err := DecodeState(state)
		if err != nil {
			return
		}
		now := time.Unix(1e9, 0).UTC()
		for len(events) >= 2 {
			now = now.Add(time.Duration(events[1]) * time.Duration(events[1]) * 100 * time.Millisecond)
			e := fuzzEvent(events[0], s, now)
			events = events[2:]
			next, actions := policy.Decide(fuzzRules, s, e)
			for _, a := range actions {
				if a.Kind == policy.SendMessage && a.Attempt > max(fuzzRules.Threshold, s.Sent, s.UnchargedSent) {
					t.Fatalf("%v sends MESSAGE %d of %d to %+v", e.Kind, a.Attempt, a.Of, s)
				}
			}
			if len(next.Broken) > policy.MaxBroken {
				t.Fatalf("%d subscriptions are remembered", len(next.Broken))
			}
			b, err := EncodeState(next)
			if err != nil {
				t.Fatalf("%+v cannot be kept: %v", next, err)
			}
			if s, err = DecodeState(b); err != nil || !s.Equal(next) {
				t.Fatalf("%+v became %+v: %v", next, s, err)
			}
		}
	})
}

var fuzzRules = policy.Rules{
	Threshold: 3, OnThreshold: policy.Ban, Ban: time.Hour, ResubscribeTimeout: 30 * time.Second,
	Coalesce: 500 * time.Millisecond, ProofTimeout: 32 * time.Second, MessageTimeout: 40 * time.Second,
	DeregisterRetry: 5 * time.Second, DeregisterTries: 3, StrikeTTL: 24 * time.Hour, Forget: 24 * time.Hour,
}

func fuzzEvent(b byte, s policy.State, now time.Time) policy.Event {
	e := policy.Event{
		Kind: policy.EventKind(b & 31), At: now, Excused: b&32 != 0, Pointless: b&96 == 96, Since: now.Add(-time.Minute),
		Episode: s.Episode, Try: s.Tries, Sub: policy.Broken{Event: "presence", Resource: "sip:b@h", CallID: string('a' + b&64)},
	}
	if len(s.Broken) > 0 {
		e.Sub.Event, e.Sub.Resource = s.Broken[0].Event, s.Broken[0].Resource
	}
	if e.Kind == policy.Tick && now.Before(s.Deadline) {
		e.At = s.Deadline
	}
	return e
}
