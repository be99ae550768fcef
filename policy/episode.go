package policy

import (
	"slices"
	"time"
)

// The course of an episode, from the first failure until the user is back or
// given up.

// open starts an episode with the first failure. Of an earlier one nothing is left: see rest.
func (m *machine) open() {
	m.s.Episode++
	m.s.Excused = m.e.Excused || m.e.Unproven
	m.s.Started, m.s.ForgetAt = m.e.At, time.Time{}
	if m.e.Pointless {
		m.abandon()
		return
	}
	m.s.Hop = m.e.Hop
	m.add(m.e.Sub)
	m.gather()
}

// own begins an episode of the watcher's own where one that an outage caused waits
// still, and for long. What is lost since then is part of it.
func (m *machine) own() {
	m.s.Episode++
	m.s.Tries, m.s.UnchargedSent, m.s.Deaf = 0, 0, false
	m.s.Started, m.s.Messaged = m.e.At, time.Time{}
	m.gather()
}

// gather waits for the failures that come close together. Where the next MESSAGE
// would be one too many it waits all the same: if others fail as well, it is an
// outage, and nobody is to be given up.
func (m *machine) gather() {
	m.s.Phase = Gathering
	m.s.Deadline = m.in(m.r.Coalesce)
	if m.r.Coalesce <= 0 {
		m.fire()
	}
}

// fire sends the next MESSAGE, or gives up if it would be one too many.
//
// A MESSAGE of an older episode may still be in flight; RFC 3428 section 8 then
// forbids a second one. Its outcome may also have been lost in a restart. It was
// sent before this episode began, so MessageTimeout after that it is surely over.
func (m *machine) fire() {
	if over := m.s.Started.Add(m.r.MessageTimeout); m.s.InFlight && !m.due(over) {
		m.s.Deadline = over
		return
	}
	m.s.InFlight = false
	if m.s.Deaf || m.spent() {
		m.inVain()
		return
	}
	m.send()
}

// send names everything that is lost in one MESSAGE. The named carry Told as it
// was before, which tells the ones named anew from those that are repeated.
func (m *machine) send() {
	m.s.Phase = Notifying
	m.charge()
	m.s.Tries++
	m.s.InFlight, m.s.Transmitted = true, false
	m.s.Deadline = m.in(m.r.MessageTimeout)
	m.act(Action{Kind: SendMessage, Broken: m.named(), More: m.s.More})
	for i := range m.s.Broken {
		m.s.Broken[i].Told = true
	}
}

// release takes note that the MESSAGE of an older episode is over, so that the
// postponed one need not wait for its safety deadline.
func (m *machine) release() {
	if m.s.InFlight {
		m.s.InFlight = false
		m.s.Deadline = earliest(m.s.Deadline, m.in(m.r.Coalesce))
	}
}

// wait begins when the MESSAGE is done, whatever its outcome: a MESSAGE that
// failed was an attempt all the same, unless it did not get as far as the user, or the
// client cannot take it.
func (m *machine) wait() {
	m.s.Messaged, m.s.Signal = m.e.At, m.e.By
	if m.e.Deaf {
		m.s.Deaf = true
	}
	if m.e.Excused || m.e.Deaf || m.e.Unproven && m.e.Stumbled {
		m.refund()
	}
	inOutage := m.s.Excused && m.s.UnchargedSent == 0 // where that MESSAGE went
	m.s.InFlight, m.s.Transmitted = false, false
	m.s.Phase = Waiting
	m.s.Deadline = m.in(m.patience())
	m.settle()
	if m.s.Phase == Waiting && inOutage {
		m.postpone()
	}
}

// patience is how long the new SUBSCRIBE is awaited.
func (m *machine) patience() time.Duration {
	pause := double(m.r.ResubscribeTimeout, m.s.Tries-1)
	if m.unheard() {
		m.s.UnchargedSent--
		pause = min(pause, m.soon())
	}
	return pause
}

// progress notes what the event says of a broken subscription, and settles.
func (m *machine) progress() {
	if m.note() {
		m.settle()
	}
}

// settle draws the conclusion from the broken subscriptions as they stand.
func (m *machine) settle() {
	t := m.tally()
	switch {
	case t.all == 0:
		m.abandon()
	case m.s.Phase == Notifying:
		// The conclusion waits for the outcome of the MESSAGE.
	case t.proven == t.all:
		m.recovered()
	case t.lost == 0:
		m.prove()
	case m.s.Phase != Gathering && t.toldLost == 0:
		m.s.More = 0 // they were told like the named, and are taken to be back like them
		m.gather()
	}
}

// prove awaits the first NOTIFY of every new subscription.
func (m *machine) prove() {
	if m.s.Phase != Proving {
		m.s.Phase = Proving
		m.s.Deadline = m.in(m.r.ProofTimeout)
	}
}

// recovered ends the episode well.
func (m *machine) recovered() {
	m.act(Action{Kind: Recovered, Took: m.took()})
	if slices.ContainsFunc(m.s.Broken, m.s.gone) {
		m.clear(AlarmExhausted)
	}
	if m.r.Count == CountRecovery {
		m.countAnew()
	}
	m.rest()
}

// abandon ends the episode without an end: it was called off, or nobody can tell.
func (m *machine) abandon() {
	m.act(Action{Kind: Abandoned, Took: m.took()})
	m.rest()
}
