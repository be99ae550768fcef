package policy

import (
	"cmp"
	"time"
)

// Merge joins what two replicas know of one user after they could not hear of each
// other. The one who got further is believed, and nothing is forgotten that counts
// against the user or protects him: the higher count, the longer ban, every alarm.
func Merge(r Rules, a, b State) State {
	if further(b, a) {
		a, b = b, a
	}
	if b.Sent > a.Sent {
		a.Sent, a.Strikes = b.Sent, b.Strikes
	}
	a.InFlight = a.InFlight || b.InFlight
	a.Episode = max(a.Episode, b.Episode)
	mergeAlarm(&a.Alarm, &a.AlarmAt, b.Alarm, b.AlarmAt)
	returned := a.overtaken()
	if a.Phase == b.Phase && a.Episode == b.Episode && a.Tries == b.Tries && a.DeregisterTried == b.DeregisterTried {
		returned = returned || b.overtaken()
		a.Left = a.Left || b.Left
	}
	if a.Phase == Idle && !a.Forgettable() {
		a.forgetLike(r, b)
	}
	if a.Phase != Exhausted || b.Phase != Exhausted {
		return a
	}
	// Both gave up on him. He is signed out if either has done it, unless the other
	// has seen him register meanwhile.
	a.SignedOut = (a.SignedOut || b.SignedOut) && !returned
	a.Kept = !a.SignedOut && (a.Kept || b.Kept)
	a.Left = a.Left && !a.SignedOut
	a.BannedUntil = latest(a.BannedUntil, b.BannedUntil)
	a.ForgetAt = latest(a.ForgetAt, b.ForgetAt)
	mergeAlarm(&a.BanAlarm, &a.BanAlarmAt, b.BanAlarm, b.BanAlarmAt)
	mergeAlarm(&a.DeregisterAlarm, &a.DeregisterAlarmAt, b.DeregisterAlarm && !a.SignedOut, b.DeregisterAlarmAt)
	again := earliest(a.Deadline, b.Deadline) // the next try at signing him out
	a.Deadline = earliest(a.BannedUntil, a.ForgetAt)
	if !a.SignedOut && !a.Kept {
		a.Deadline = earliest(a.Deadline, again)
	}
	return a
}

// forgetLike says when to forget a user who is Idle and has something on him by b
// alone, which may be in the middle of an episode.
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
	// Episodes are numbered, so a later one is news, and who is Idle has seen the
	// end of the one that the other is still in. The episode goes before the count:
	// a merged state has the higher number, and must not look older than its parts.
	if over := a.Phase == Idle; a.Episode == b.Episode && over != (b.Phase == Idle) {
		return over
	}
	return cmp.Or(
		cmp.Compare(a.Episode, b.Episode), cmp.Compare(a.Sent, b.Sent),
		cmp.Compare(a.Tries, b.Tries), cmp.Compare(a.Phase, b.Phase),
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
