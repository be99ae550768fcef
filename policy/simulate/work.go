package simulate

import (
	"math/bits"
	"time"

	"rewatch/policy"
)

// work gives the queues their turns of one step.
func (s *sidecar) work() {
	now := s.w.clock.now
	if s.changed {
		s.release()
	}
	s.trim()
	for _, p := range []*pace{s.returning, s.messages, s.signOuts, s.deliveries} {
		p.begin(now)
	}
	s.deliver()
	for u := s.returning.next(); u != nil; u = s.returning.next() {
		s.workOff(u)
	}
	for u := s.messages.next(); u != nil; u = s.messages.next() {
		s.tell(u)
	}
	for u := s.signOuts.next(); u != nil; u = s.signOuts.next() {
		s.signOut(u)
	}
}

// reach is how far a hold reaches back.
const reach = 6 * time.Minute

// trim forgets what no hold reaches back to.
func (s *sidecar) trim() {
	old := s.w.clock.now - steps(reach)
	n := 0
	for n < len(s.recent) && s.recent[n].at < old {
		n++
	}
	s.recent = s.recent[n:]
}

// workOff begins the recovery of a watcher whose subscriptions an outage broke, unless it came back by
// itself meanwhile.
func (s *sidecar) workOff(u *user) {
	u.noted = false
	now := s.w.clock.now
	switch {
	case u.lost == 0 || u.gone == u.devices():
		return
	case s.waits(u):
		s.note(u)
		return
	}
	s.returning.spend(now)
	for lost := u.lost; lost != 0; lost &= lost - 1 {
		sub := uint8(bits.TrailingZeros16(lost)) //nolint:gosec // at most 15
		s.offer(u, policy.Event{Kind: policy.NotifyFailed, Sub: u.lostOne(sub, u.gen[sub]), Excused: true})
	}
}

// tell sends a MESSAGE that has its turn, if it is needed still.
func (s *sidecar) tell(u *user) {
	now := s.w.clock.now
	switch {
	case u.state.Phase != policy.Notifying || u.lost == 0:
		s.w.clock.put(now+1, event{who: u.id, kind: told})
		return
	case s.waits(u):
		u.messaging = false
		s.freeze(u)
		return
	}
	s.messages.spend(now)
	s.w.res.Messages++
	s.w.res.second(now).Messages++
	s.w.carry()
	when, ok := s.w.net.delivery(s.w.dice, s.w.route(u, 0), now, policy.TimerF)
	if !ok {
		s.w.clock.put(now+steps(policy.TimerF), event{who: u.id, kind: untold, sent: now})
		return
	}
	s.w.clock.put(when+1, event{who: u.id, kind: told})
	s.w.clock.put(when, event{who: u.id, kind: heard})
}

// signOut sends a de-REGISTER that has its turn, if it is wanted still.
func (s *sidecar) signOut(u *user) {
	now := s.w.clock.now
	if u.state.Phase != policy.Exhausted || u.state.SignedOut || u.state.StaysRegistered {
		u.signing = false
		s.arm(u)
		return
	}
	if s.paths.Held(s.hop(u)) {
		u.signing = false
		s.freeze(u)
		return
	}
	s.signOuts.spend(now)
	s.w.res.Deregisters++
	s.w.res.second(now).Deregisters++
	// The binding is the core's, whether the phone is alive or not.
	when, ok := s.w.net.delivery(s.w.dice, route{hop: s.w.hop(u)}, now, policy.TimerF)
	if !ok {
		s.w.clock.put(now+steps(policy.TimerF), event{who: u.id, kind: unanswered, sent: now})
		return
	}
	s.w.clock.put(when+1, event{who: u.id, kind: signedOut})
}
