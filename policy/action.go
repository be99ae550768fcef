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
)

// Names of the alarms that a user can cause.
const (
	AlarmExhausted        = "watcher-exhausted"
	AlarmBanned           = "watcher-banned"
	AlarmDeregisterFailed = "deregister-failed"
)

// Action is one thing to be done. Doing it again after a crash is harmless:
// Episode and Attempt are its key.
type Action struct {
	Kind    ActionKind
	Episode uint64
	// Attempt and Of are the count of this MESSAGE and the threshold; Try is
	// the number of the MESSAGE in its episode.
	Attempt, Of, Try int
	// Excused: this MESSAGE is no strike.
	Excused bool
	// Broken are the subscriptions to name, More how many beyond them.
	Broken []Broken
	More   int
	Alarm  string
	Until  time.Time
	Took   time.Duration
}
