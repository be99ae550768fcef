package policy

import "time"

// Phase is where the recovery of one user stands.
type Phase uint8

const (
	// Idle: nothing is broken. A count may be left from earlier episodes.
	Idle Phase = iota
	// Gathering: a NOTIFY failed; further failures inside Rules.Coalesce join it.
	Gathering
	// Notifying: the MESSAGE was sent, its final response is outstanding.
	Notifying
	// Waiting: the MESSAGE is done, the new SUBSCRIBE is awaited.
	Waiting
	// Proving: every broken subscription was renewed; the first NOTIFY of each is awaited.
	Proving
	// Exhausted: the threshold was reached and rewatch gave up.
	Exhausted
)

// Progress is how far one broken subscription has come back.
type Progress uint8

const (
	// Lost: the watcher has not subscribed again.
	Lost Progress = iota
	// Resubscribed: a new SUBSCRIBE was accepted; no NOTIFY got through yet.
	Resubscribed
	// Proven: a NOTIFY of the new subscription got through.
	Proven
)

// Broken is one subscription that broke, as the MESSAGE tells the watcher.
type Broken struct {
	Event    string `json:"event"`    // event package with its id parameter, "presence" or "presence;id=7"
	Resource string `json:"resource"` // URI of the resource that was watched
	CallID   string `json:"call_id"`  // of the dialog that broke last
	// Tag is the notifier's tag of that dialog, where it is known: a client may
	// subscribe anew with its old Call-ID.
	Tag   string `json:"tag,omitempty"`
	Cause string `json:"cause"` // "408 Request Timeout": status and reason of the failure
	// Device tells the user's devices apart: +sip.instance or GRUU; empty where none
	// was seen. Contact is the URI under which the device subscribed: it names the
	// device where one of the two has no Device, and is what a de-REGISTER removes.
	Device  string `json:"device,omitempty"`
	Contact string `json:"contact,omitempty"`
	// Agent is the User-Agent of the SUBSCRIBE, as far as it is kept.
	Agent string `json:"agent,omitempty"`
	// Due is when the client's own refresh was due at the latest (the Expires that it
	// was granted, and 64*T1); zero: not known.
	Due time.Time `json:"due,omitzero"`
	// Since is when it broke, which may be long before its episode began: in an outage.
	Since    time.Time `json:"since,omitzero"`
	Progress Progress  `json:"progress"`
	// Renewed is the dialog that came in its place, By what brought the client back.
	Renewed string `json:"renewed,omitempty"`
	By      By     `json:"by,omitempty"`
	// Told is set once a MESSAGE has named (or counted) this subscription.
	Told bool `json:"told"`
}

// Device is one of the user's devices: what a de-REGISTER removes (in an Action),
// and what is remembered of the device (in a State).
type Device struct {
	ID      string `json:"id,omitempty"`      // as Broken.Device
	Contact string `json:"contact,omitempty"` // as Broken.Contact
	// Told: a MESSAGE of the present count was about this device. Heeds: the device
	// has come back upon one, in whatever count.
	Told  bool `json:"told,omitempty"`
	Heeds bool `json:"heeds,omitempty"`
}

// maxDevices bounds State.Devices; the one that was told longest ago makes room.
const maxDevices = 16

// maxStrikes bounds State.Strikes. More of them in the window of an outage than
// this would need a very small REWATCH_RESUBSCRIBE_TIMEOUT.
const maxStrikes = 16

// MaxBroken bounds State.Broken; more than that are only counted in State.More.
const MaxBroken = 256

// State is all that is remembered of one user. The zero State is a user of whom
// nothing is known. A State is a value: Decide never changes the one it is given
// (Broken is copied before it is changed).
type State struct {
	Phase Phase `json:"phase"`
	// Sent is the number of MESSAGEs in the present count.
	Sent int `json:"sent"`
	// Strikes are the times of the last of them, so that an outage that is noticed
	// late can give them back. It is never changed in place.
	Strikes []time.Time `json:"strikes,omitempty"`
	// Tries is the number of MESSAGEs in the present episode.
	Tries int `json:"tries"`
	// Episode numbers the episodes of this user; with Tries it is the key that
	// makes an action safe to repeat.
	Episode uint64    `json:"episode"`
	Started time.Time `json:"started"` // first failure of the episode
	Broken  []Broken  `json:"broken,omitempty"`
	More    int       `json:"more"`
	// Devices is what is remembered of the user's devices. It outlives an episode,
	// and is never changed in place.
	Devices []Device `json:"devices,omitempty"`
	// Gone are the devices that were given up, as long as the alarm is raised: it is
	// about these. None: it is about the user.
	Gone []Device `json:"gone,omitempty"`
	// Deaf: the client cannot take the MESSAGE (405, 415, 488, 501), so there is no
	// other in this episode.
	Deaf bool `json:"deaf,omitempty"`
	// Messaged is when the last MESSAGE of the episode was sent or done, Signal how
	// the watcher was told.
	Messaged time.Time `json:"messaged,omitzero"`
	Signal   By        `json:"signal,omitempty"`
	// Recounted is when the count last began anew with strikes on it. It is kept for
	// a while, so that a replica that did not see it does not bring them back.
	Recounted time.Time `json:"recounted,omitzero"`
	// Excused: an outage is to blame for the episode. Its MESSAGEs are no strikes,
	// and it ends without giving up on the user. UnchargedSent counts those sent since.
	Excused       bool `json:"excused,omitempty"`
	UnchargedSent int  `json:"free,omitempty"`
	// InFlight says that a MESSAGE awaits its final response; there is never a
	// second one beside it (RFC 3428 section 8).
	InFlight bool `json:"in_flight"`
	// Transmitted: the MESSAGE of the present try (while Notifying) or the de-REGISTER
	// (while Exhausted) was sent, or may have been. It is set and persisted before the
	// request is sent, so that no other process sends it again.
	Transmitted bool `json:"left,omitempty"`
	// Hop is the next hop that the last failure came over; it decides nothing here.
	Hop string `json:"hop,omitempty"`
	// Deadline is when the engine has to deliver a Tick; zero means never.
	Deadline time.Time `json:"deadline"`
	// SignedOut: our de-REGISTER succeeded, or the registration ended by itself,
	// while Exhausted.
	SignedOut bool `json:"signed_out"`
	// StaysRegistered: while Exhausted, the user was not signed out (Unsubscribe, or not
	// ours to de-register, or they have registered since), so a NOTIFY that gets
	// through ends it. With Transmitted: they have registered since the de-REGISTER was sent.
	StaysRegistered bool `json:"kept"`
	// DeregisterTried counts the tries at de-registering while Exhausted.
	DeregisterTried int `json:"deregister_tried"`
	// Alarm, BanAlarm, DeregisterAlarm: the alarm is raised and has to be cleared.
	Alarm           bool `json:"alarm"`
	BanAlarm        bool `json:"ban_alarm"`
	DeregisterAlarm bool `json:"deregister_alarm"`
	// AlarmAt, BanAlarmAt, DeregisterAlarmAt: when it was raised. Whoever tells of
	// it again, after a restart or in another replica, tells of the same alarm.
	AlarmAt           time.Time `json:"alarm_at,omitzero"`
	BanAlarmAt        time.Time `json:"ban_alarm_at,omitzero"`
	DeregisterAlarmAt time.Time `json:"deregister_alarm_at,omitzero"`
	// BannedUntil is the end of the ban; zero means no ban.
	BannedUntil time.Time `json:"banned_until"`
	// ForgetAt is when an Exhausted user is forgotten, or the alarm of an Idle one.
	ForgetAt time.Time `json:"forget_at"`
}
