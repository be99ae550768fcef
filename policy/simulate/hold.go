package simulate

import (
	"slices"
	"time"

	"rewatch/policy"
	"rewatch/policy/outage"
)

// The hold of the product, and what the engine does around it.

// waits says whether a watcher waits for the end of a hold.
func (s *sidecar) waits(u *user) bool { return !u.ahead && s.paths.Held(s.hop(u)) }

// gotThrough tells of NOTIFYs that passed, to watchers who are well.
func (s *sidecar) gotThrough(hop, n int) {
	var got outage.Passes
	now := s.w.clock.now
	for range min(n, witnesses) {
		if who, ok := s.w.healthy(hop, s.number); ok {
			got.Add(now.time(), uint64(who))
		}
	}
	if got.N > 0 {
		got.N = n
		s.apply(s.paths.Passed(now.time(), s.hops[hop], got))
	}
}

// witnesses is how many of those who got through in a step are told by name.
const witnesses = 8

// heard tells of a request that came from a watcher, or got through to it.
func (s *sidecar) heard(u *user) {
	var got outage.Passes
	got.Add(s.w.clock.now.time(), uint64(u.id))
	s.apply(s.paths.Passed(s.w.clock.now.time(), s.hop(u), got))
	if u.missing != 0 {
		s.post.Alive(s.w.clock.now.time(), u.id)
	}
}

// prove judges a request that failed. OPTIONS are answered within a step, or not at all.
func (s *sidecar) prove(u *user, sent moment, final bool) outage.Verdict {
	now := s.w.clock.now
	try := outage.Try{
		Hop: s.hop(u), User: uint64(u.id), Sent: sent.time(), At: now.time(), Core: true, Final: final,
	}
	v, notices := s.paths.Failed(try)
	s.apply(notices)
	if v == outage.Ask {
		s.ask(s.w.hop(u))
		v, notices = s.paths.Judge(now.time(), try)
		s.apply(notices)
	}
	return v
}

// mayBlame says whether a watcher may be told once more, or given up.
func (s *sidecar) mayBlame(u *user) bool {
	now := s.w.clock.now.time()
	v, notices := s.paths.MayBlame(now, s.hop(u), uint64(u.id), u.state.Messaged, true)
	s.apply(notices)
	if v == outage.Ask {
		s.ask(s.w.hop(u))
		v, notices = s.paths.MayBlame(now, s.hop(u), uint64(u.id), u.state.Messaged, true)
		s.apply(notices)
	}
	return v == outage.Proven
}

// ask asks a hop by OPTIONS.
func (s *sidecar) ask(hop int) {
	now := s.w.clock.now
	_, ok := s.w.net.delivery(s.w.dice, route{hop: hop}, now, probeTimeout)
	s.apply(s.paths.Answered(now.time(), s.hops[hop], now.time(), ok))
	if ok {
		s.letSomeGo(hop)
	}
}

// probeTimeout is how long OPTIONS may take.
const probeTimeout = 4 * time.Second

// judge lets the hold have its time, and asks the hops that are to be asked.
func (s *sidecar) judge() {
	now := s.w.clock.now.time()
	next := s.paths.Next()
	if next.IsZero() || now.Before(next) {
		return
	}
	ask, notices := s.paths.Tick(now, func(name string) bool {
		hop := slices.Index(s.hops, name)
		return hop >= 0 && len(s.noted[hop])+len(s.frozen[hop]) > 0
	})
	s.apply(notices)
	for _, name := range ask {
		s.ask(slices.Index(s.hops, name))
	}
}

func (s *sidecar) apply(notices []outage.Notice) {
	for _, n := range notices {
		switch n.Kind {
		case outage.Began:
			s.w.res.Holds++
			s.excuse(n.Record)
		case outage.Ended:
			s.changed = true
		case outage.Settled: // nobody waits for a verdict here
		}
	}
}

// excuse tells the policy of all whom the outage hit before it was noticed, and of those
// whose sign-out is pending.
func (s *sidecar) excuse(r outage.Record) {
	recent := s.recent
	s.recent = nil
	for _, b := range recent {
		if b.at.time().Before(r.Since) || r.Hop != s.hop(b.u) {
			s.recent = append(s.recent, b)
			continue
		}
		s.offer(b.u, policy.Event{Kind: policy.Excuse, Since: r.Since})
	}
	for _, u := range s.leaving {
		if u.signing && r.Hop == s.hop(u) {
			s.offer(u, policy.Event{Kind: policy.Excuse, Since: r.Since})
		}
	}
}

// note remembers a watcher whom the outage broke. If it is over already, it is
// worked off like the others.
func (s *sidecar) note(u *user) {
	if u.noted {
		return
	}
	u.noted = true
	if !s.paths.Held(s.hop(u)) {
		s.returning.push(u)
		return
	}
	hop := s.w.hop(u)
	s.noted[hop] = append(s.noted[hop], u)
}

// letSomeGo lets a few go ahead over a hop that is held and has answered.
func (s *sidecar) letSomeGo(hop int) {
	for len(s.noted[hop]) > 0 && s.paths.Held(s.hops[hop]) && s.paths.GoAhead(s.hops[hop]) {
		u := s.noted[hop][0]
		s.noted[hop] = s.noted[hop][1:]
		u.ahead = true
		s.returning.push(u)
	}
}

// freeze keeps what is to be done for a watcher back until the hold ends.
func (s *sidecar) freeze(u *user) {
	if u.frozen {
		return
	}
	u.frozen = true
	hop := s.w.hop(u)
	s.frozen[hop] = append(s.frozen[hop], u)
}

// thaw takes it up again.
func (s *sidecar) thaw(u *user) {
	u.frozen = false
	switch {
	case u.state.Phase == policy.Notifying && !u.messaging:
		u.messaging = true
		s.messages.push(u)
	case u.state.Phase == policy.Exhausted && !u.state.SignedOut && !u.state.StaysRegistered && !u.signing:
		u.signing = true
		s.signOuts.push(u)
	}
	s.arm(u)
}

// release lets the watchers go on behind the hops that are no longer held: those who lost a
// subscription, the newest registrations first, and the deadlines, spread over a while.
func (s *sidecar) release() {
	s.changed = false
	for hop, name := range s.hops {
		if s.paths.Held(name) {
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
