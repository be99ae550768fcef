package policy

import "time"

// machine is one decision in the making: the state as it changes, and the
// actions gathered on the way.
type machine struct {
	r       Rules
	s       State
	e       Event
	actions []Action
}

// act adds an action, with the key that makes it safe to repeat.
func (m *machine) act(a Action) {
	a.Episode = m.s.Episode
	a.Attempt, a.Of = m.s.Sent, m.r.Threshold
	if m.s.Excused {
		a.Attempt, a.Excused = m.s.Free, true
	}
	if a.Try == 0 {
		a.Try = m.s.Tries
	}
	m.actions = append(m.actions, a)
}

// due says whether t is set and has passed.
func (m *machine) due(t time.Time) bool {
	return !t.IsZero() && !m.e.At.Before(t)
}

// in returns the moment that lies d ahead.
func (m *machine) in(d time.Duration) time.Time { return m.e.At.Add(d) }

// took is the length of the episode so far.
func (m *machine) took() time.Duration { return m.e.At.Sub(m.s.Started) }

// rest enters Idle. Only what outlives an episode is kept, and it is forgotten
// after Rules.Forget of quiet, so that no user is remembered for ever.
func (m *machine) rest() {
	m.s = State{
		Sent: m.s.Sent, Strikes: m.s.Strikes, Episode: m.s.Episode, InFlight: m.s.InFlight, Alarm: m.s.Alarm,
		AlarmAt: m.s.AlarmAt, Hop: m.s.Hop,
	}
	if m.s.Sent > 0 || m.s.InFlight || m.s.Alarm {
		m.s.ForgetAt = m.in(m.r.Forget)
		m.s.Deadline = m.s.ForgetAt
		return
	}
	m.s.Hop = ""
}

// forgive clears the slate. A MESSAGE in flight stays in flight.
func (m *machine) forgive() {
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
func (m *machine) countAnew() { m.s.Sent, m.s.Strikes = 0, nil }

// forget is forgive for a user of whom nothing was heard for long; whatever was
// in flight then has been lost.
func (m *machine) forget() {
	m.s.InFlight = false
	m.forgive()
}

// raise raises an alarm unless it is raised already.
func (m *machine) raise(name string) {
	if raised, at := m.alarm(name); !*raised {
		*raised, *at = true, m.e.At
		m.act(Action{Kind: RaiseAlarm, Alarm: name, Broken: m.named(), More: m.s.More})
	}
}

// clear clears an alarm if it is raised.
func (m *machine) clear(name string) {
	if raised, at := m.alarm(name); *raised {
		m.act(Action{Kind: ClearAlarm, Alarm: name, RaisedAt: *at})
		*raised, *at = false, time.Time{}
	}
}

// alarm returns what remembers the alarm of that name: whether it is raised, and
// since when.
func (m *machine) alarm(name string) (raised *bool, at *time.Time) {
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
