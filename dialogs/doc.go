// Package dialogs has the types that the SIP path, the Monitor and the Engine share: what
// passes (Message), how it is answered (Ruling, Verdict), the end of a NOTIFY (Outcome), what
// the Monitor calls of the Engine (Recovery) and the Engine of the Monitor (Directory), and
// what the Engine acts with (Actor, Alarms).
//
// The folder tracks who is subscribed to what, judges the outcome of each NOTIFY, and runs
// the recovery. It has two halves. Package proxy tells package monitor of every SUBSCRIBE,
// NOTIFY and third-party REGISTER before it is forwarded, and of its outcome. Package monitor
// learns subscriptions (RFC 6665) and registrations (TS 24.229 5.4.1.7) from them, and
// answers at once with a Ruling or a Verdict. It tells package recovery what happens to a
// user; that asks package policy and carries out the decision. The halves share only the
// types of this package, and neither imports the other. Package store keeps the data of both.
//
// # The way of a NOTIFY
//
// Notify finds the subscription by Call-ID, tags and event package, and returns a Ref. The
// proxy keeps the Ref with the open transaction and passes it with the Outcome to NotifyDone.
// The table of monitor/outcome says what the outcome means by itself; monitor/verdict.go
// judges it by the state of the subscription, which may have ended, or a newer one may have
// taken its place. The Engine is told of a failure after the answer to the server was sent.
//
// # What a crash may cost
//
// The state of a user is written before, or together with, the subscription that an event
// happened to (store.Keeper): the next process relies on the state of the user to include
// every event of its subscriptions. An alarm is notified, and a request is sent, after the
// fact that it was is safe. An answer does not wait: a crash loses the failures that
// happened while the last commit ran.
package dialogs
