package policy

import (
	"slices"
	"time"
)

// What an outage has caused, and the user is not blamed for.

// spent says whether the MESSAGEs are used up.
func (m *decision) spent() bool {
	if m.s.Excused {
		return m.s.UnchargedSent >= m.r.Threshold
	}
	return m.s.Sent >= m.r.Threshold
}

// inVain ends an episode whose MESSAGEs have not brought the user back. After an outage that is no
// reason to sign a user out: clients that take no notice of a MESSAGE come back with their next
// refresh. Nor is it for clients that do not support the MESSAGE, or whose refresh is not due yet.
func (m *machine) inVain() {
	lost, next := m.doomed()
	switch {
	case m.s.Excused:
		m.abandon()
	case m.s.Deaf:
		m.sitOut()
	case m.e.Unproven:
		m.await(m.in(m.r.ResubscribeTimeout))
	case len(lost) > 0:
		m.giveUp(lost)
	case !next.IsZero():
		m.await(next)
	default:
		m.sitOut()
	}
}

// sitOut waits until every lost subscription was due to be refreshed: the last chance of users who
// get no further MESSAGE and are not given up.
func (m *machine) sitOut() {
	last := m.refreshed(func(Broken) bool { return true })
	if last.IsZero() || m.due(last) {
		m.abandon()
		return
	}
	m.await(last)
}

// await waits for the lost subscriptions, without a further MESSAGE.
func (m *decision) await(until time.Time) {
	m.s.Phase, m.s.Deadline = Waiting, until
}

// After an outage the core may refuse requests to users until they have registered again. So a
// MESSAGE that is not counted and did not arrive is sent again after unheardPause, which doubles;
// the first few of an episode do not use up the tries. If the core has only stumbled, as it does
// while it comes back, the pause is shorter.
const (
	unheardPause  = 5 * time.Second
	stumbledPause = 2 * time.Second
	maxUnheard    = 8
)

// soon is the pause before a MESSAGE that did not arrive is sent again.
func (m *decision) soon() time.Duration {
	if m.e.Stumbled {
		return double(stumbledPause, m.s.Tries-1)
	}
	return double(unheardPause, m.s.Tries-1)
}

// unheard says whether the MESSAGE at hand is not counted and did not arrive.
func (m *decision) unheard() bool {
	return m.s.Excused && m.s.UnchargedSent > 0 && m.e.Undelivered && m.s.Tries <= maxUnheard
}

// reachable sends a MESSAGE again that is not counted and did not arrive, because the user has
// registered since.
func (m *decision) reachable() {
	if m.s.Excused && m.s.UnchargedSent == 0 {
		m.postpone()
	}
}

// charge counts one MESSAGE.
func (m *decision) charge() {
	if m.s.Excused {
		m.s.UnchargedSent++
		return
	}
	m.s.Sent++
	strikes := append([]time.Time(nil), m.s.Strikes...)
	if len(strikes) >= maxStrikes {
		strikes = strikes[len(strikes)-maxStrikes+1:]
	}
	m.s.Strikes = append(strikes, m.e.At)
	for _, b := range m.named() {
		m.learn(b, func(d *Device) { d.Told = true })
	}
}

// giveBack takes the strikes since Event.Since off the count.
func (m *decision) giveBack() {
	n := 0
	for n < len(m.s.Strikes) && !m.s.Strikes[len(m.s.Strikes)-1-n].Before(m.e.Since) {
		n++
	}
	if n == 0 {
		return
	}
	m.s.Strikes = m.s.Strikes[:len(m.s.Strikes)-n]
	if m.s.Sent -= n; m.s.Sent == 0 {
		m.s.Devices = untold(m.s.Devices)
	}
}

// refund takes the MESSAGE that is done off the count. The next MESSAGE follows after the same pause
// as ever, which doubles. MESSAGEs of an excused episode are not counted anyway.
func (m *decision) refund() {
	if n := len(m.s.Strikes); n > 0 && !m.s.Excused {
		m.s.Strikes = m.s.Strikes[:n-1]
		m.s.Sent--
	}
}

// hit says whether the episode began in the outage that Event.Since is about.
func (m *decision) hit() bool { return !m.s.Started.Before(m.e.Since) }

// excuse gives back the strikes, and excuses an episode that the outage began. A
// MESSAGE of it that is done went into the outage, so there has to be another; so
// did the free ones, if this is the relapse of an outage.
func (m *machine) excuse() {
	m.giveBack()
	if !m.hit() {
		return
	}
	m.s.Excused, m.s.UnchargedSent = true, 0
	if m.s.Phase == Waiting {
		m.postpone()
	}
}

// postpone has the next MESSAGE wait for a Tick, which the engine keeps back during a hold.
func (m *decision) postpone() {
	m.s.Phase = Gathering
	m.s.Deadline = m.in(m.r.Coalesce)
}

// takeBack undoes that the user was given up, unless it has been signed out. A sign-out
// that is pending is dropped in any case: it would do its work when the outage is over,
// whoever is back by then.
func (m *exhaustion) takeBack() {
	m.giveBack()
	pending := m.signingOut()
	if m.s.SignedOut || !pending && !m.hit() && m.s.Sent >= m.r.Threshold {
		return
	}
	m.clear(AlarmExhausted)
	if m.tally().lost == 0 {
		m.reinstate()
		return
	}
	m.lift()
	m.s.StaysRegistered, m.s.Transmitted, m.s.DeregisterTried = false, false, 0
	m.s.BannedUntil, m.s.ForgetAt = time.Time{}, time.Time{}
	m.s.Excused, m.s.UnchargedSent = pending || m.hit(), 0
	m.postpone()
}

// returning notes how a user comes back who was given up but is not signed out yet.
// Whoever has come back is not signed out any more: the proof is awaited then, as
// ever, and if all works again that was lost the matter is over.
func (m *machine) returning() {
	if !m.signingOut() || m.banned() || !m.note() {
		return
	}
	if lost, _ := m.doomed(); len(lost) > 0 {
		return
	}
	if t := m.tally(); t.proven+t.lost == t.all {
		m.comeBack()
		return
	}
	m.lift()
	m.s.BannedUntil, m.s.Transmitted = time.Time{}, false
	m.prove()
}

// again says whether the event is of a device that was given up.
func (m *decision) again() bool { return m.s.gone(m.e.Sub) }

// gone says whether b is of a device that was given up.
func (s State) gone(b Broken) bool {
	return len(s.Gone) == 0 || slices.ContainsFunc(s.Gone, func(d Device) bool { return d.has(b) })
}
