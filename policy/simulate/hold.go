package simulate

import (
	"slices"
	"time"

	"rewatch/policy"
	"rewatch/policy/outage"
)

// holding says whether anything is held.
func (s *sidecar) holding() bool { return s.detector.Any() }

// gotThrough tells of NOTIFYs that passed.
func (s *sidecar) gotThrough(hop, n int) {
	s.apply(s.detector.Passed(s.w.clock.now.time(), s.hops[hop], n))
}

// observe tells of one that failed, and returns whether an outage is to blame.
func (s *sidecar) observe(u *user, sent moment) bool {
	s.apply(s.detector.Observe(outage.Outcome{
		At: s.w.clock.now.time(), Sent: sent.time(), Hop: s.hop(u), Watcher: uint64(u.id),
	}))
	return s.detector.Excused(s.hop(u), sent.time())
}

// judge lets the detector have its time, and sends the probes that are due.
func (s *sidecar) judge() {
	now := s.w.clock.now
	s.probes = slices.DeleteFunc(s.probes, func(p probe) bool {
		if p.at > now {
			return false
		}
		s.apply(s.detector.Probed(now.time(), p.scope, true))
		return true
	})
	next := s.detector.Next()
	if next.IsZero() || now.time().Before(next) {
		return
	}
	probes, changes := s.detector.Tick(now.time())
	s.apply(changes)
	for _, p := range probes {
		hop := slices.Index(s.hops, p.Hop)
		if at, ok := s.w.net.delivery(s.w.dice, route{hop: hop}, now, probeTimeout); ok {
			s.probes = append(s.probes, probe{p.Scope, at + 1})
		}
	}
}

// probeTimeout is how long a probe may take.
const probeTimeout = 4 * time.Second

func (s *sidecar) apply(changes []outage.Change) {
	for _, c := range changes {
		switch {
		case c.From == outage.Closed:
			s.w.res.Holds++
			s.excuse(c)
		case c.To == outage.Closed:
			s.changed = true
		}
	}
}

// excuse tells the policy of all whom the outage hit before it was noticed.
func (s *sidecar) excuse(c outage.Change) {
	recent := s.recent
	s.recent = nil
	for _, b := range recent {
		if b.at.time().Before(c.Since) || c.Scope != outage.Overall && c.Scope != s.hop(b.u) {
			s.recent = append(s.recent, b)
			continue
		}
		s.offer(b.u, policy.Event{Kind: policy.Excuse, Since: c.Since})
	}
}

// note remembers a watcher whom the outage broke. If it is over already, he is
// worked off like the others.
func (s *sidecar) note(u *user) {
	if u.noted {
		return
	}
	u.noted = true
	if !s.detector.Held(s.hop(u)) {
		s.returning.push(u)
		return
	}
	hop := s.w.crowd.hop(u.id)
	s.noted[hop] = append(s.noted[hop], u)
}

// freeze keeps what is to be done for a watcher back until the hold ends.
func (s *sidecar) freeze(u *user) {
	if u.frozen {
		return
	}
	u.frozen = true
	hop := s.w.crowd.hop(u.id)
	s.frozen[hop] = append(s.frozen[hop], u)
}

// thaw takes it up again.
func (s *sidecar) thaw(u *user) {
	u.frozen = false
	switch {
	case u.state.Phase == policy.Notifying && !u.messaging:
		u.messaging = true
		s.messages.push(u)
	case u.state.Phase == policy.Exhausted && !u.state.SignedOut && !u.state.Kept && !u.signing:
		u.signing = true
		s.signOuts.push(u)
	}
	s.arm(u)
}

// release lets everything go on behind the hops that are held no more: the noted
// watchers, newest registrations first, and the deadlines, spread over a while.
func (s *sidecar) release() {
	s.changed = false
	for hop, name := range s.hops {
		if s.detector.Held(name) {
			continue
		}
		noted := s.noted[hop]
		s.noted[hop] = nil
		slices.SortFunc(noted, func(a, b *user) int {
			return s.age(a) - s.age(b)
		})
		for _, u := range noted {
			s.returning.push(u)
		}
		for _, u := range s.frozen[hop] {
			s.w.clock.put(s.w.clock.now+s.rest(u)+s.w.dice.within(spread), event{who: u.id, kind: unfrozen})
		}
		s.frozen[hop] = nil
	}
}

// spread is over how long the deadlines that were kept back are let go.
const spread = 10 * time.Second

// rest is how long a wait that was interrupted goes on: for the whole of it, because
// nobody knows how much of it the watcher could have used.
func (s *sidecar) rest(u *user) moment {
	switch u.state.Phase {
	case policy.Waiting:
		return steps(s.w.cfg.Rules.ResubscribeTimeout)
	case policy.Proving:
		return steps(s.w.cfg.Rules.ProofTimeout)
	case policy.Idle, policy.Gathering, policy.Notifying, policy.Exhausted:
	}
	return 0
}

// age orders watchers by their registration.
func (s *sidecar) age(u *user) int {
	return int(trait(s.w.cfg.Seed, u.id, saltRegistered) * (1 << 30))
}
