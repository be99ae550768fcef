package policy

import (
	"slices"
	"time"
)

// Forgettable says whether nothing of the state matters any more: no episode, no
// count, no alarm, no ban, nothing in flight, no habit of a device. Such a user need
// not be remembered.
func (s State) Forgettable() bool {
	return s.Phase == Idle && s.Sent == 0 && !s.InFlight &&
		!s.Alarm && !s.BanAlarm && !s.DeregisterAlarm && s.BannedUntil.IsZero() &&
		len(s.Devices) == 0 && s.Recounted.IsZero()
}

// Active says whether successes and new subscriptions of the user matter: an
// episode is running, the user was given up, or an alarm waits to be cleared.
func (s State) Active() bool {
	return s.Phase != Idle || s.Alarm
}

// Equal says whether two states are the same to the last field.
func (s State) Equal(o State) bool {
	return s.Phase == o.Phase && s.Sent == o.Sent && s.Tries == o.Tries && s.Episode == o.Episode &&
		s.More == o.More && s.InFlight == o.InFlight && s.Transmitted == o.Transmitted && s.Hop == o.Hop && s.Excused == o.Excused && s.UnchargedSent == o.UnchargedSent &&
		s.SignedOut == o.SignedOut && s.StaysRegistered == o.StaysRegistered && s.DeregisterTried == o.DeregisterTried &&
		s.Alarm == o.Alarm && s.BanAlarm == o.BanAlarm && s.DeregisterAlarm == o.DeregisterAlarm &&
		s.Started.Equal(o.Started) && s.Deadline.Equal(o.Deadline) &&
		s.AlarmAt.Equal(o.AlarmAt) && s.BanAlarmAt.Equal(o.BanAlarmAt) && s.DeregisterAlarmAt.Equal(o.DeregisterAlarmAt) &&
		s.BannedUntil.Equal(o.BannedUntil) && s.ForgetAt.Equal(o.ForgetAt) &&
		slices.EqualFunc(s.Strikes, o.Strikes, time.Time.Equal) && slices.EqualFunc(s.Broken, o.Broken, Broken.equal) &&
		slices.Equal(s.Devices, o.Devices) && slices.Equal(s.Gone, o.Gone) && s.Deaf == o.Deaf && s.Signal == o.Signal &&
		s.Messaged.Equal(o.Messaged) && s.Recounted.Equal(o.Recounted)
}

// equal says whether two entries are the same to the last field.
func (b Broken) equal(o Broken) bool {
	same := b.Due.Equal(o.Due) && b.Since.Equal(o.Since)
	b.Due, o.Due, b.Since, o.Since = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return same && b == o
}
