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
	// Transmit: the request that has its turn may be sent, once the state is safe.
	Transmit
	// Returned: the subscription in Action.Broken works again; Action.By says what
	// brought the client back.
	Returned
)

// By is what brought a client back.
type By uint8

const (
	// ByUnknown: nobody has said so.
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
	// ByItself: it has subscribed anew without any of these.
	ByItself
)

// Names of the alarms that a user can cause.
const (
	AlarmExhausted        = "watcher-exhausted"
	AlarmBanned           = "watcher-banned"
	AlarmDeregisterFailed = "deregister-failed"
)

// Action is one thing to be done. A process that crashes may have done it or not;
// what must not be done twice, a request to the user or about them, asks once more
// when it has its Turn.
type Action struct {
	Kind    ActionKind
	Episode uint64
	// Attempt and Of are the count that stands and the threshold; Try is the number
	// of the MESSAGE, or of the de-REGISTER, in its episode.
	Attempt, Of, Try int
	// Excused: this MESSAGE is no strike.
	Excused bool
	// Broken are the subscriptions to name, or for which a user is given up; More is how
	// many there are beyond them.
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
