package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Merge joins what two replicas know of one user after they could not hear of each
// other. The one that got further is believed, and nothing is forgotten that counts
// against the user or protects the user: the higher count, the longer ban, every alarm.
// A count that one of them has begun anew is over for the other as well.
func Merge(r Rules, a, b State) State {
	anew := latest(a.Recounted, b.Recounted)
	a, b = a.countedSince(anew), b.countedSince(anew)
	if further(b, a) {
		a, b = b, a
	}
	if b.Sent > a.Sent {
		a.Sent, a.Strikes = b.Sent, b.Strikes
	}
	a.Devices = mergeDevices(a.Devices, b.Devices)
	whole := a.Alarm && len(a.Gone) == 0 || b.Alarm && len(b.Gone) == 0
	if a.Gone = mergeDevices(a.Gone, b.Gone); whole {
		a.Gone = nil // the alarm is about the user
	}
	a.InFlight = a.InFlight || b.InFlight
	a.Episode = max(a.Episode, b.Episode)
	mergeAlarm(&a.Alarm, &a.AlarmAt, b.Alarm, b.AlarmAt)
	returned := a.overtaken()
	if a.Phase == b.Phase && a.Episode == b.Episode && a.Tries == b.Tries && a.DeregisterTried == b.DeregisterTried {
		returned = returned || b.overtaken()
		a.Transmitted = a.Transmitted || b.Transmitted
	}
	if a.Phase == Idle && !a.Forgettable() {
		a.forgetLike(r, b)
	}
	if b.Phase != Exhausted { // who gave up has got further, so it is a
		return a
	}
	// Both gave up on the user, who is signed out if either has done it, unless the
	// other has seen a registration meanwhile.
	a.SignedOut = (a.SignedOut || b.SignedOut) && !returned
	a.StaysRegistered = !a.SignedOut && (a.StaysRegistered || b.StaysRegistered)
	a.Transmitted = a.Transmitted && !a.SignedOut
	a.BannedUntil = latest(a.BannedUntil, b.BannedUntil)
	a.ForgetAt = latest(a.ForgetAt, b.ForgetAt)
	mergeAlarm(&a.BanAlarm, &a.BanAlarmAt, b.BanAlarm, b.BanAlarmAt)
	mergeAlarm(&a.DeregisterAlarm, &a.DeregisterAlarmAt, b.DeregisterAlarm, b.DeregisterAlarmAt)
	if a.SignedOut {
		a.DeregisterAlarm, a.DeregisterAlarmAt = false, time.Time{}
	}
	again := earliest(a.Deadline, b.Deadline) // the next try at signing them out
	a.Deadline = earliest(a.BannedUntil, a.ForgetAt)
	if !a.SignedOut && !a.StaysRegistered {
		a.Deadline = earliest(a.Deadline, again)
	}
	return a
}

// skew is how far the clocks of two replicas may be apart.
const skew = time.Minute

// countedSince is a state without the strikes of before a new count, which another
// replica has begun.
func (a State) countedSince(anew time.Time) State {
	if !a.Recounted.Before(anew) {
		return a
	}
	a.Recounted, a.Devices = anew, untold(a.Devices)
	for len(a.Strikes) > 0 && a.Strikes[0].Before(anew.Add(skew)) {
		a.Strikes = a.Strikes[1:]
	}
	if a.Sent = len(a.Strikes); a.Sent == 0 {
		a.Strikes = nil
	}
	return a
}

// mergeDevices joins what is remembered of the devices.
func mergeDevices(a, b []Device) []Device {
	all := slices.Clone(a)
	for _, d := range b {
		i := slices.IndexFunc(all, func(o Device) bool { return o.ID == d.ID && o.Contact == d.Contact })
		if i < 0 {
			all = append(all, d)
			continue
		}
		all[i].Told = all[i].Told || d.Told
		all[i].Heeds = all[i].Heeds || d.Heeds
	}
	slices.SortFunc(all, func(a, b Device) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Contact, b.Contact))
	})
	return all[:min(len(all), maxDevices)]
}

// forgetLike says when to forget a user who is Idle and is remembered for b alone,
// which may be in the middle of an episode.
func (a *State) forgetLike(r Rules, b State) {
	a.ForgetAt = latest(a.ForgetAt, b.ForgetAt)
	if a.ForgetAt.IsZero() {
		a.ForgetAt = b.Deadline.Add(r.Forget)
	}
	a.Deadline = a.ForgetAt
}

// further says whether a has got further with the user than b.
func further(a, b State) bool {
	if given := a.Phase == Exhausted; given != (b.Phase == Exhausted) {
		return given
	}
	// Episodes are numbered, so a later one is news, and an Idle one has seen the
	// end of the one that the other is still in. The episode goes before the count:
	// a merged state has the higher number, and must not look older than its parts.
	if over := a.Phase == Idle; a.Episode == b.Episode && over != (b.Phase == Idle) {
		return over
	}
	return cmp.Or(
		cmp.Compare(a.Episode, b.Episode), cmp.Compare(a.Sent, b.Sent),
		cmp.Compare(a.Tries, b.Tries), cmp.Compare(a.Phase, b.Phase),
		cmp.Compare(a.DeregisterTried, b.DeregisterTried),
	) > 0
}

// mergeAlarm keeps the alarm that was raised first.
func mergeAlarm(raised *bool, at *time.Time, other bool, otherAt time.Time) {
	if other && (!*raised || otherAt.Before(*at)) {
		*raised, *at = true, otherAt
	}
}

// latest returns the last of two times.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
