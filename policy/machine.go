package policy

import (
	"slices"
	"time"
)

// decision is one decision in the making: the state as it changes, and the actions
// gathered on the way. Its methods change what one of them is about: the alarms, the
// count, the broken subscriptions, the devices.
type decision struct {
	r       Rules
	s       State
	e       Event
	actions []Action
}

// exhaustion has what becomes of a user who is given up: sign-out, ban, return.
type exhaustion struct{ decision }

// machine has the states and the way of an episode through them.
type machine struct{ exhaustion }

func newMachine(r Rules, s State, e Event) *machine {
	return &machine{exhaustion{decision{r: r, s: s, e: e}}}
}

// act adds an action, with the key that makes it safe to repeat.
func (m *decision) act(a Action) {
	a.Episode = m.s.Episode
	a.Attempt, a.Of = m.s.Sent, m.r.Threshold
	a.Excused = m.s.Excused
	if a.Try == 0 {
		a.Try = m.s.Tries
	}
	m.actions = append(m.actions, a)
}

// due says whether t is set and has passed.
func (m *decision) due(t time.Time) bool {
	return !t.IsZero() && !m.e.At.Before(t)
}

// in returns the moment that lies d ahead.
func (m *decision) in(d time.Duration) time.Time { return m.e.At.Add(d) }

// took is the length of the episode so far, from when the first of its subscriptions
// broke.
func (m *decision) took() time.Duration {
	began := m.s.Started
	for _, b := range m.s.Broken {
		began = earliest(began, b.Since)
	}
	return m.e.At.Sub(began)
}

// rest enters Idle. Only what outlives an episode is kept, and only for a while, so that no user
// is remembered for ever: a strike for StrikeTTL, all else for Forget.
func (m *decision) rest() {
	forgetAt := m.in(m.r.Forget)
	if m.s.Phase == Idle && !m.s.ForgetAt.IsZero() {
		forgetAt = m.s.ForgetAt
	}
	m.s = State{
		Sent: m.s.Sent, Strikes: m.s.Strikes, Recounted: m.s.Recounted, Episode: m.s.Episode, InFlight: m.s.InFlight,
		Alarm: m.s.Alarm, AlarmAt: m.s.AlarmAt, Gone: m.s.Gone, Devices: m.s.Devices, Hop: m.s.Hop,
	}
	if m.s.Alarm || m.s.InFlight || len(m.s.Devices) > 0 || m.s.Sent > len(m.s.Strikes) && m.r.StrikeTTL != 0 {
		m.s.ForgetAt = forgetAt
	}
	m.s.Deadline = m.s.ForgetAt
	if len(m.s.Strikes) > 0 && m.r.StrikeTTL != 0 {
		m.s.Deadline = earliest(m.s.Deadline, m.s.Strikes[0].Add(m.r.StrikeTTL))
	}
	if !m.s.Recounted.IsZero() {
		m.s.Deadline = earliest(m.s.Deadline, m.s.Recounted.Add(m.r.Apart))
	}
	if m.s.Forgettable() {
		m.s.Hop = ""
	}
}

// age forgets the strikes that are older than StrikeTTL. Those of the episode that runs count
// until it ends.
func (m *decision) age() {
	if m.r.StrikeTTL == 0 || m.s.Phase == Exhausted {
		return
	}
	n := 0
	for n < len(m.s.Strikes) && m.due(m.s.Strikes[n].Add(m.r.StrikeTTL)) &&
		(m.s.Phase == Idle || m.s.Strikes[n].Before(m.s.Started)) {
		n++
	}
	if n == 0 {
		return
	}
	// Those beyond maxStrikes, whose time is not known, are older.
	m.s.Strikes = m.s.Strikes[n:]
	if m.s.Sent = len(m.s.Strikes); m.s.Sent == 0 {
		m.s.Devices = untold(m.s.Devices)
	}
	if m.s.Phase == Idle {
		m.rest()
	}
}

// forgive resets the count, the ban and the alarms. A MESSAGE in flight stays in flight.
func (m *exhaustion) forgive() {
	switch m.s.Phase {
	case Gathering, Notifying, Waiting, Proving:
		m.act(Action{Kind: Abandoned, Took: m.took()})
	case Idle, Exhausted: // no episode is running
	}
	m.clear(AlarmExhausted)
	m.lift()
	m.countAnew()
	m.rest()
}

// countAnew begins a new count of MESSAGEs.
func (m *decision) countAnew() {
	if m.s.Sent > 0 && m.r.Apart != 0 {
		m.s.Recounted = m.e.At
	}
	m.s.Sent, m.s.Strikes = 0, nil
	m.s.Devices = untold(m.s.Devices)
}

// leave notes that the registration has ended, and forgets the devices.
func (m *decision) leave() {
	m.countAnew()
	m.s.Devices = nil
}

// fade forgets what is due to be forgotten in Idle.
func (m *decision) fade() {
	if m.due(m.s.Recounted.Add(m.r.Apart)) {
		m.s.Recounted = time.Time{}
	}
	if m.due(m.s.ForgetAt) {
		m.s.InFlight, m.s.Devices = false, nil
		m.s.Sent = len(m.s.Strikes)
		m.clear(AlarmExhausted)
	}
	m.rest()
}

// raise raises an alarm unless it is raised already.
func (m *decision) raise(name string) {
	if raised, at := m.alarm(name); !*raised {
		*raised, *at = true, m.e.At
		m.act(Action{Kind: RaiseAlarm, Alarm: name, Broken: m.blamed(), More: m.s.More})
	}
}

// blamed are the subscriptions of the devices that were given up.
func (m *decision) blamed() []Broken {
	return slices.DeleteFunc(m.named(), func(b Broken) bool { return !m.s.gone(b) })
}

// clear clears an alarm if it is raised.
func (m *decision) clear(name string) {
	if raised, at := m.alarm(name); *raised {
		m.act(Action{Kind: ClearAlarm, Alarm: name, RaisedAt: *at})
		*raised, *at = false, time.Time{}
	}
	if !m.s.Alarm {
		m.s.Gone = nil
	}
}

// alarm returns what remembers the alarm of that name: whether it is raised, and
// since when.
func (m *decision) alarm(name string) (raised *bool, at *time.Time) {
	switch name {
	case AlarmBanned:
		return &m.s.BanAlarm, &m.s.BanAlarmAt
	case AlarmDeregisterFailed:
		return &m.s.DeregisterAlarm, &m.s.DeregisterAlarmAt
	default:
		return &m.s.Alarm, &m.s.AlarmAt
	}
}

// longest bounds the doubling waits, whatever the operator allows them to grow from.
const longest = 24 * time.Hour

// double returns d doubled n times.
func double(d time.Duration, n int) time.Duration {
	for ; n > 0 && d < longest; n-- {
		d *= 2
	}
	return d
}

// earliest returns the first of the times that are set.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}
