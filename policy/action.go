package policy

import "time"

// ActionKind names what the engine has to do.
type ActionKind uint8

const (
	// SendMessage: tell the watcher which subscriptions broke.
	SendMessage ActionKind = iota
	// DoDeregister: sign the user out.
	DoDeregister
	// StartBan: refuse the user until Action.Until.
	StartBan
	// EndBan: the ban is over.
	EndBan
	// RaiseAlarm and ClearAlarm: Action.Alarm names it.
	RaiseAlarm
	ClearAlarm
	// Recovered, GaveUp, Abandoned: the episode ended so; counted, with its
	// length in Action.Took.
	Recovered
	GaveUp
	Abandoned
	// Transmit: the request whose Turn it is may be sent, as soon as the state is saved.
	Transmit
	// Returned: the subscription in Action.Broken works again; Action.By says what
	// brought the client back.
	Returned
)

// By is what brought a client back.
type By uint8

const (
	// ByUnknown: it is not known.
	ByUnknown By = iota
	// ByMessage: the MESSAGE.
	ByMessage
	// ByNotify: the terminating NOTIFY of rewatch.
	ByNotify
	// ByRefresh: its own refresh, which was answered 481.
	ByRefresh
	// ByRedelivery: the NOTIFY was delivered later.
	ByRedelivery
	// ByRegistration: it was signed out and has registered again.
	ByRegistration
	// ByItself: it has subscribed again without any of these.
	ByItself
)

// Names of the alarms that a user can cause.
const (
	AlarmExhausted        = "watcher-exhausted"
	AlarmBanned           = "watcher-banned"
	AlarmDeregisterFailed = "deregister-failed"
)

// Action is one thing to be done. After a crash it is not known whether it was done. A request to
// the user or about it must not be sent twice, so it needs a Turn before it is sent.
type Action struct {
	Kind    ActionKind
	Episode uint64
	// Attempt and Of are the count that stands and the threshold; Try is the number
	// of the MESSAGE, or of the de-REGISTER, in its episode.
	Attempt, Of, Try int
	// Excused: this MESSAGE is no strike.
	Excused bool
	// Broken are the subscriptions that the MESSAGE names, or for which the user is given up; More
	// counts those for which the list has no room.
	Broken []Broken
	More   int
	// Devices, of DoDeregister, are those that are to be signed out: broken, told, and
	// not back.
	Devices []Device
	By      By // of Returned
	Alarm   string
	// RaisedAt, of ClearAlarm, is when it was raised.
	RaisedAt time.Time
	Until    time.Time
	Took     time.Duration
}
