package policy

import "time"

// This file keeps a crash from doing something twice, or not at all.
//
// After a process was killed nobody can tell whether it has sent a request. So
// Transmitted is saved before the request is sent: a MESSAGE or de-REGISTER that may
// have been sent is never sent again, and one that was not sent is sent by the next
// process. A crash can cost the one request that was about to be sent between the two,
// some microseconds.

// regain is how long a user has, after rewatch was away, to be heard again before
// anything is held against them: everything that they sent meanwhile they repeat within
// T2 (RFC 3261 17.1.2.2).
const regain = 5 * time.Second

// transmitMessage answers the Turn of a MESSAGE. It is refused if it was sent, or
// nobody whom it is about needs it any more.
func (m *decision) transmitMessage() {
	if m.e.Episode == m.s.Episode && m.e.Try == m.s.Tries && m.tally().toldLost > 0 {
		m.s.Messaged = m.e.At
		m.transmit()
	}
}

// transmitSignOut answers the Turn of a de-REGISTER.
func (m *exhaustion) transmitSignOut() {
	lost, _ := m.doomed()
	if m.e.Episode == m.s.Episode && m.e.Try == m.s.DeregisterTried+1 && m.signingOut() && len(lost) > 0 {
		m.ban()
		m.transmit()
	}
}

func (m *decision) transmit() {
	if !m.s.Transmitted {
		m.s.Transmitted = true
		m.act(Action{Kind: Transmit, Try: m.e.Try})
	}
}

// conclude goes on without the outcome of the MESSAGE. One that was not sent is
// sent yet.
func (m *machine) conclude() {
	if m.s.Transmitted || m.tally().toldLost == 0 {
		m.wait()
		return
	}
	m.s.Deadline = m.in(m.r.MessageTimeout)
	if m.s.Excused && m.s.UnchargedSent == 0 || !m.s.Excused && m.s.Sent == 0 {
		m.charge() // the count it was part of has ended meanwhile
	}
	m.act(Action{Kind: SendMessage, Broken: m.named(), More: m.s.More})
}

// presume goes on without the outcome of a de-REGISTER that may have left. A second
// one could sign out somebody who has come back since, so the first is taken to have
// done its work. If it has not, the user's next REGISTER begins a new count.
func (m *exhaustion) presume() {
	m.s.SignedOut, m.s.Transmitted = true, false
	m.linger()
}

// land ends what was in flight in Idle.
func (m *decision) land() {
	if m.s.InFlight {
		m.s.InFlight = false
		m.rest()
	}
}

// regained gives the user time to be heard before a wait is over.
func (m *decision) regained() {
	if soonest := m.in(min(regain, m.r.ResubscribeTimeout)); m.s.Deadline.Before(soonest) {
		m.s.Deadline = soonest
	}
}

// resumeExhausted goes on with signing a user out.
func (m *exhaustion) resumeExhausted() {
	m.s.InFlight = false
	switch {
	case m.s.overtaken():
		m.done()
	case !m.signingOut():
	case m.s.Transmitted:
		m.presume()
	default:
		again := m.in(double(m.r.DeregisterRetry, m.s.DeregisterTried-1))
		m.s.Deadline = earliest(again, m.s.Deadline, m.s.ForgetAt)
		m.regained()
	}
}

// alive is a sign of life of a user who was given up: nobody is signed out who has
// registered since. Who was signed out is back. While the de-REGISTER is under way the
// user may be either (overtaken).
func (m *exhaustion) alive() {
	switch {
	case m.banned() || !m.again():
	case m.s.SignedOut:
		m.registeredAgain()
	case m.signingOut():
		left := m.s.Transmitted
		m.keep()
		m.s.Transmitted = left
	}
}
