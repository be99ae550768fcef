package policy

import "slices"

// The transition table. "N reached" means Sent >= Threshold; every other pair
// of phase and event changes nothing, or only the flag that it names. "Back" are
// subscriptions with a new SUBSCRIBE, "proven" those with a NOTIFY that got through;
// both by device, resource and event package.
//
//	phase      event              condition                  next        what is done
//	---------  -----------------  -------------------------  ----------  -----------------------------
//	Idle       NotifyFailed       pointless (489)            Idle        Abandoned
//	           NotifyFailed                                  Gathering
//	           NotifyOK           alarm about this device    Idle        clear the alarm
//	           Tick               a time is over             Idle        strikes, habits, alarm forgotten
//	Gathering  NotifyFailed                                  Gathering   joins
//	           Tick               an older MESSAGE in flight Gathering   postponed until it is done
//	           Tick               N reached, some may go     Exhausted   give these up
//	           Tick               N reached, none may go yet Waiting     for the refresh of who may come back
//	           Tick               N reached, nobody to await Idle        Abandoned
//	           Tick                                          Notifying   MESSAGE
//	Notifying  NotifyFailed                                  Notifying   joins, named in the next one
//	           Turn               some told are lost         Notifying   transmit, once
//	           MessageDone        some told are lost         Waiting
//	           MessageDone        all told back, others lost Gathering
//	           MessageDone        all back                   Proving     or, if all are proven, Recovered
//	           Tick, Resumed      it was sent                            as MessageDone
//	           Tick, Resumed      it has not left            Notifying   MESSAGE, the same
//	Waiting    NotifyFailed       another subscription       Waiting     joins, named in the next one
//	           NotifyFailed       one that had come back     Gathering
//	           NotifyFailed       own, after a long excuse   Gathering   a new episode
//	           comes back         all told, others lost      Gathering
//	           Tick                                                      as in Gathering
//	Proving    NotifyFailed                                  Gathering
//	           NotifyOK           all are proven             Idle        Recovered, clear the alarm about them
//	           Tick                                          Idle        Abandoned
//	Waiting    Excuse             the episode is excused     Gathering   the MESSAGE went into the outage
//	           Refreshed          excused, not heard         Gathering   as does Registered: the MESSAGE is repeated
//	Exhausted  NotifyFailed       kept, another device       Gathering   the user goes on
//	           Subscribed         all to go are back         Proving     lift the ban, unless it is on
//	           DeregisterDone     other devices stay         Idle        count from 0, alarm stays
//	           DeregisterDone, Deregistered                  Exhausted   signed out
//	           DeregisterFailed   tries are left             Exhausted   alarm; again at the Tick
//	           DeregisterFailed   none is left               Exhausted   alarm; kept
//	           DeregisterSkipped                             Exhausted   kept
//	           NotifyOK           kept, not banned           Idle        clear the alarm
//	           NotifyOK           all to go are proven       Idle        clear the alarm, unless signed out
//	           NotifyOK           signed out, not banned     Idle        count from 0, clear the alarm
//	           Subscribed         signed out, not banned     Idle        count from 0, alarm stays
//	           Registered         not banned                 Idle        count from 0, alarm stays
//	           Refreshed          signed out, not banned     Idle        count from 0, alarm stays
//	           Refreshed          not signed out             Exhausted   kept, even if the de-REGISTER was sent
//	           DeregisterDone     kept meanwhile             Idle        count from 0, alarm stays
//	           Turn               not signed out             Exhausted   ban; transmit, once
//	           Resumed            it was sent                Exhausted   signed out, as it seems; or Idle, as above
//	           Resumed            it has not left            Exhausted   again, soon
//	           Excuse             not signed out yet, excused Gathering  clear the alarms, lift the ban
//	           Tick               ban is over                Idle        end the ban, count from 0
//	           Tick               Forget is over             Idle        everything forgotten
//
// In Gathering, Waiting and Proving alike, Subscribed, NotifyOK, LateOK and Ended
// bring a broken subscription back or strike it off. When none is lost any more
// the episode is Proving, when all are proven it is Recovered, and when none is
// left at all it is Abandoned. Notifying takes note of them and draws the
// conclusion when its MESSAGE is done. Returned tells of each that is proven.
//
// A device may go (be given up) that was told in this count, is lost, and is known to
// heed a MESSAGE or has had its own refresh due (Patience). Without proof of the path
// (Unproven) nobody may go yet. A ban begins with the Turn of the de-REGISTER: whoever
// asks the questions before it (DeregisterSkipped) asks them for the ban as well.
//
// An excused episode, which an outage caused, sends up to Threshold MESSAGEs that
// do not count, and where another gives up it is Abandoned. Those that did not
// arrive are repeated soon. A failure of the
// watcher's own that joins it makes it one like any other. Excuse, in every
// phase, gives back the strikes since Event.Since. A MessageDone that is excused, or
// Stumbled and Unproven, takes its MESSAGE off the count. So does one that is Deaf:
// then there is no other MESSAGE in the episode, and what is lost is awaited until its
// refresh was due.
//
// After a restart (Resumed) a wait is over no sooner than somebody who was not
// heard meanwhile can be heard, and nothing is in flight any more.
//
// In every phase Registered sets the count to 0, Deregistered abandons the
// episode, and Reset forgives everything. DeregisterDone in Idle is the end of a
// registration like Deregistered: the user was back before its outcome.

// Decide returns what becomes of a user to whom e happened, and what has to be
// done about it. It leaves s as it is.
func Decide(r Rules, s State, e Event) (State, []Action) {
	m := newMachine(r, s, e)
	m.s.Broken = slices.Clone(s.Broken)
	if e.Kind == Tick && !m.due(s.Deadline) {
		return m.s, nil // a timer that was overtaken
	}
	m.age()
	switch s.Phase {
	case Idle:
		m.idle()
	case Gathering:
		m.gathering()
	case Notifying:
		m.notifying()
	case Waiting:
		m.waiting()
	case Proving:
		m.proving()
	case Exhausted:
		m.exhausted()
	}
	return m.s, m.actions
}

func (m *machine) idle() {
	switch m.e.Kind {
	case NotifyFailed:
		m.open()
	case NotifyOK:
		if m.again() {
			m.clear(AlarmExhausted)
			m.rest()
		}
	case MessageDone:
		m.s.InFlight = false
		m.rest()
	case Registered:
		m.countAnew()
		m.s.Gone = nil
		m.rest()
	case Deregistered, DeregisterDone:
		m.leave()
		m.s.Gone = nil
		m.rest()
	case Tick:
		m.fade()
	case Reset:
		m.forgive()
	case Excuse:
		m.giveBack()
		m.rest()
	case Resumed:
		m.land()
	case LateOK, Subscribed, Ended, DeregisterFailed, DeregisterSkipped, Unban, Turn, Refreshed:
	}
}

func (m *machine) gathering() {
	switch m.e.Kind {
	case NotifyFailed:
		m.join()
	case NotifyOK, LateOK, Subscribed, Ended:
		m.progress()
	case MessageDone:
		m.release()
	case Registered:
		m.countAnew()
	case Deregistered:
		m.leave()
		m.abandon()
	case Tick:
		m.fire()
	case Reset:
		m.forgive()
	case Excuse:
		m.excuse()
	case Resumed:
		m.release()
	case DeregisterDone, DeregisterFailed, DeregisterSkipped, Unban, Turn, Refreshed:
	}
}

func (m *machine) notifying() {
	switch m.e.Kind {
	case NotifyFailed:
		m.join()
	case NotifyOK, LateOK, Subscribed, Ended:
		m.progress()
	case MessageDone:
		// The outcome of an older MESSAGE says nothing of the one in flight.
		if m.e.Episode == m.s.Episode && m.e.Try == m.s.Tries {
			m.wait()
		}
	case Registered:
		m.countAnew()
	case Deregistered:
		m.leave()
		m.abandon()
	case Tick:
		m.conclude()
	case Reset:
		m.forgive()
	case Excuse:
		m.excuse()
	case Turn:
		m.transmitMessage()
	case Resumed:
		m.conclude()
	case DeregisterDone, DeregisterFailed, DeregisterSkipped, Unban, Refreshed:
	}
}

func (m *machine) waiting() {
	switch m.e.Kind {
	case NotifyFailed:
		excused := m.s.Excused
		switch j := m.join(); {
		case j == failedAgain:
			m.gather()
		case j == failedFirst && excused && !m.s.Excused && m.s.Deadline.After(m.in(m.r.ResubscribeTimeout)):
			m.own()
		}
	case NotifyOK, LateOK, Subscribed, Ended:
		m.progress()
	case MessageDone:
		m.s.InFlight = false
	case Registered:
		m.countAnew()
		m.reachable()
	case Refreshed:
		m.reachable()
	case Deregistered:
		m.leave()
		m.abandon()
	case Tick:
		m.fire()
	case Reset:
		m.forgive()
	case Excuse:
		m.excuse()
	case Resumed:
		m.regained()
	case DeregisterDone, DeregisterFailed, DeregisterSkipped, Unban, Turn:
	}
}

func (m *machine) proving() {
	switch m.e.Kind {
	case NotifyFailed:
		// Whoever fails now has come back before: the phone is alive.
		if m.join() != nothingNew {
			m.gather()
		}
	case NotifyOK, LateOK, Subscribed, Ended:
		m.progress()
	case MessageDone:
		m.s.InFlight = false
	case Registered:
		m.countAnew()
	case Deregistered:
		m.leave()
		m.abandon()
	case Tick:
		m.abandon()
	case Reset:
		m.forgive()
	case Excuse:
		m.excuse()
	case Resumed:
		m.regained()
	case DeregisterDone, DeregisterFailed, DeregisterSkipped, Unban, Turn, Refreshed:
	}
}

func (m *machine) exhausted() {
	switch m.e.Kind {
	case NotifyOK:
		if m.s.StaysRegistered && !m.banned() && m.again() {
			m.comeBack()
		} else {
			m.returning()
			m.back()
		}
	case NotifyFailed:
		m.others()
	case Registered:
		if !m.banned() {
			m.registeredAgain()
		}
	case Deregistered:
		m.signedOut()
	case DeregisterDone:
		m.done()
	case DeregisterFailed:
		m.retrySignOut()
	case DeregisterSkipped:
		m.keep()
	case MessageDone:
		m.s.InFlight = false
	case Tick:
		m.expire()
	case Reset:
		m.forgive()
	case Unban:
		if !m.s.BannedUntil.IsZero() {
			m.countAnew()
			m.reinstate()
		}
	case Excuse:
		m.takeBack()
	case Subscribed:
		m.returning()
		m.back()
	case Turn:
		m.transmitSignOut()
	case Resumed:
		m.resumeExhausted()
	case Refreshed:
		m.alive()
	case LateOK, Ended:
	}
}
