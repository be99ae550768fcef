package policy

import "time"

// EventKind names what happened.
type EventKind uint8

const (
	// NotifyFailed: a NOTIFY of Event.Sub failed for good (dialogs/DESIGN.md, "When a NOTIFY has failed", says what
	// that is).
	NotifyFailed EventKind = iota
	// NotifyOK: a NOTIFY got its 2xx.
	NotifyOK
	// LateOK: the 2xx came after the NOTIFY had been judged failed. It calls the
	// recovery off. In an outage, where stale NOTIFYs pile up before the core, it
	// does so only if Event.Alive.
	LateOK
	// Subscribed: a SUBSCRIBE that created a new dialog was accepted.
	Subscribed
	// Ended: the subscription is not wanted any more (un-SUBSCRIBE, expiry,
	// terminated by the server).
	Ended
	// MessageDone: the MESSAGE has its final outcome, whatever it is.
	MessageDone
	// Registered: a registration began.
	Registered
	// Deregistered: the registration ended (Expires: 0, or it was not refreshed).
	Deregistered
	// DeregisterDone: every binding that was to be removed is removed.
	DeregisterDone
	// DeregisterFailed: the de-REGISTER has failed.
	DeregisterFailed
	// DeregisterSkipped: this user must not be de-registered.
	DeregisterSkipped
	// Tick: State.Deadline has passed.
	Tick
	// Reset: an administrator forgives everything (count, ban, alarm).
	Reset
	// Unban: an administrator ends the ban.
	Unban
	// Excuse: an outage caused what happened since Event.Since, as is known only now. The strikes
	// of that time are given back, and an episode that began in it is excused.
	Excuse
	// Turn: a MESSAGE or de-REGISTER is about to be sent. If it may still be sent, Decide records
	// it as sent and returns Transmit.
	Turn
	// Resumed: a new process has loaded the state. The requests that the earlier process had in
	// flight will have no outcome.
	Resumed
	// Refreshed: a REGISTER refreshed the registration.
	Refreshed
)

// Event is one thing that happened to one user.
type Event struct {
	Kind EventKind
	At   time.Time
	// Sub is the subscription meant by NotifyFailed, NotifyOK, LateOK, Subscribed and
	// Ended: device, resource and event package match it to State.Broken, CallID and
	// Tag tell an old dialog from a new one; Cause and Due are set for NotifyFailed.
	Sub Broken
	// Pointless, of NotifyFailed (489) and DeregisterFailed: another try is of no use.
	Pointless bool
	// By, of NotifyOK and Subscribed, is what brought the client back, if the caller
	// knows; of MessageDone, how the watcher was told.
	By By
	// Excused: an outage caused this NotifyFailed. The episode that it opens is
	// never held against the user. Of MessageDone: the MESSAGE did not get as far as
	// the user, and is not counted.
	Excused bool
	// Unproven: it is not proven that the path works. A NotifyFailed is then excused, a
	// MessageDone that Stumbled is no strike, and nobody is given up.
	Unproven bool
	Since    time.Time // of Excuse
	// Undelivered, of MessageDone: it did not reach the watcher. Stumbled: and that
	// tells of the core rather than of the watcher (silence, 408, 5xx). Deaf: the
	// client cannot take it (405, 415, 488, 501).
	Undelivered, Stumbled, Deaf bool
	// Alive, of LateOK and of a NotifyOK in the dialog that broke: the server has the
	// subscription still.
	Alive bool
	// Others, of DeregisterDone: other devices of the user stay registered.
	Others bool
	// Hop is the next hop of a NotifyFailed, where one is known.
	Hop string
	// Episode and Try name the MESSAGE that MessageDone is the outcome of, or the
	// request whose Turn has come; an outcome of an older episode only ends InFlight.
	Episode uint64
	Try     int
}
