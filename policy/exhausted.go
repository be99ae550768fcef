package policy

// Giving up on a user, and the ways back.

// giveUp ends the episode after the last MESSAGE and does what the operator chose.
func (m *exhaustion) giveUp(lost []Broken) {
	m.s.Phase, m.s.Gone = Exhausted, mergeDevices(m.s.Gone, devices(lost))
	m.s.SignedOut, m.s.StaysRegistered, m.s.DeregisterTried = false, false, 0
	m.s.ForgetAt = m.in(m.r.Forget)
	m.act(Action{Kind: GaveUp, Took: m.took(), Broken: lost, More: m.s.More})
	m.raise(AlarmExhausted)
	if m.r.OnThreshold == Unsubscribe {
		m.keep()
		return
	}
	m.signOut()
}

// ban begins the ban. It begins with the de-REGISTER, so that a user who must not be signed out
// is not banned either.
func (m *exhaustion) ban() {
	if m.r.OnThreshold != Ban || !m.s.BannedUntil.IsZero() {
		return
	}
	m.s.BannedUntil = m.in(m.r.Ban)
	if m.s.ForgetAt.Before(m.s.BannedUntil) {
		m.s.ForgetAt = m.s.BannedUntil
	}
	m.act(Action{Kind: StartBan, Until: m.s.BannedUntil, Broken: m.blamed(), More: m.s.More})
	m.raise(AlarmBanned)
}

// banned says whether the ban is still on.
func (m *exhaustion) banned() bool {
	return m.e.At.Before(m.s.BannedUntil)
}

// signOut tries to de-register those of the user's devices that are given up.
func (m *exhaustion) signOut() {
	m.s.Transmitted = false
	lost, _ := m.doomed()
	if len(lost) == 0 {
		m.keep() // they are back
		return
	}
	m.act(Action{Kind: DoDeregister, Try: m.s.DeregisterTried + 1, Devices: devices(lost), Broken: lost, More: m.s.More})
	m.s.Deadline = earliest(m.in(m.r.MessageTimeout), m.s.BannedUntil, m.s.ForgetAt)
}

// signingOut says whether a try at de-registering is outstanding or due.
func (m *exhaustion) signingOut() bool {
	return !m.s.SignedOut && !m.s.StaysRegistered
}

// overtaken says whether the user has registered since the de-REGISTER was sent. Which of the
// two the core saw first is not known here, so the user gets the benefit of the doubt: it stays
// in Exhausted until the outcome, and then it is back.
func (s State) overtaken() bool { return s.StaysRegistered && s.Transmitted }

// done notes that our de-REGISTER did its work.
func (m *exhaustion) done() {
	if m.signingOut() {
		m.ban()
	}
	if (m.s.overtaken() || m.e.Others) && !m.banned() { // the user, or its other devices, go on
		m.countAnew()
		m.reinstate()
		return
	}
	m.signedOut()
}

// signedOut notes that the registration has ended, by a de-REGISTER of rewatch or by itself. The
// core reports rewatch's own de-REGISTER by a third-party REGISTER as well.
func (m *exhaustion) signedOut() {
	m.s.SignedOut, m.s.StaysRegistered, m.s.Transmitted = true, false, false
	m.clear(AlarmDeregisterFailed)
	m.linger()
}

// retrySignOut counts the failed try. After the last one, or one that says that another try is
// pointless, the user stays registered, so that a NOTIFY that gets through can end Exhausted.
func (m *exhaustion) retrySignOut() {
	if !m.signingOut() {
		m.s.Transmitted = false
		return
	}
	m.s.DeregisterTried++
	m.s.Transmitted = false
	m.raise(AlarmDeregisterFailed)
	if m.e.Pointless || m.s.DeregisterTried >= m.r.DeregisterTries {
		m.keep()
		return
	}
	again := m.in(double(m.r.DeregisterRetry, m.s.DeregisterTried-1))
	m.s.Deadline = earliest(again, m.s.BannedUntil, m.s.ForgetAt)
}

// keep notes that the user stays registered.
func (m *exhaustion) keep() {
	if !m.s.SignedOut {
		m.s.StaysRegistered = true
	}
	m.s.Transmitted = false
	m.linger()
}

// linger waits until the ban ends or the user is forgotten.
func (m *exhaustion) linger() {
	m.s.Deadline = earliest(m.s.BannedUntil, m.s.ForgetAt)
}

// expire does what is due in Exhausted.
func (m *exhaustion) expire() {
	switch {
	case m.due(m.s.BannedUntil):
		m.countAnew()
		m.reinstate()
	case m.due(m.s.ForgetAt): // what was in flight has been lost since
		m.s.InFlight, m.s.Devices = false, nil
		m.forgive()
	case m.signingOut() && m.s.Transmitted:
		m.presume()
	case m.signingOut():
		m.signOut()
	default:
		m.linger()
	}
}

// back ends Exhausted for a user who was signed out and is heard again.
func (m *exhaustion) back() {
	if m.s.SignedOut && !m.banned() && m.again() {
		m.bring(ByItself)
		if m.e.Kind == NotifyOK {
			m.clear(AlarmExhausted)
		}
		m.countAnew()
		m.reinstate()
	}
}

// registeredAgain ends Exhausted for a user who has registered.
func (m *exhaustion) registeredAgain() {
	m.bring(ByRegistration)
	m.countAnew()
	m.s.Gone = nil
	m.reinstate()
}

// bring reports what has brought back the subscriptions that are still lost.
func (m *exhaustion) bring(by By) {
	if m.e.By != ByUnknown {
		by = m.e.By
	}
	for _, b := range m.named() {
		m.act(Action{Kind: Returned, Broken: []Broken{b}, By: by})
	}
}

// comeBack ends Exhausted for a user who was never signed out, or has registered
// since, and whose NOTIFYs get through again.
func (m *exhaustion) comeBack() {
	m.clear(AlarmExhausted)
	if m.r.Count == CountRecovery || m.s.overtaken() {
		m.countAnew()
	}
	m.reinstate()
}

// reinstate leaves Exhausted. The alarm watcher-exhausted stays as it is: it is
// cleared when a NOTIFY has got through.
func (m *exhaustion) reinstate() {
	m.lift()
	m.rest()
}

// lift ends the ban, and clears its alarm and that of a de-REGISTER that failed.
func (m *exhaustion) lift() {
	if !m.s.BannedUntil.IsZero() {
		m.act(Action{Kind: EndBan})
	}
	m.clear(AlarmBanned)
	m.clear(AlarmDeregisterFailed)
}

// others opens an episode for a device of the user that was not given up, if the devices that
// were given up stay registered and the user is not banned.
func (m *machine) others() {
	if m.s.StaysRegistered && !m.s.Transmitted && !m.banned() && !m.again() {
		m.lift()
		m.rest()
		m.open()
	}
}
