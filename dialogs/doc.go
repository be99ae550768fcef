// Package dialogs knows who is subscribed to what, decides what the end of a
// NOTIFY transaction means for its subscription, and runs the recovery.
//
// It has two halves. The Monitor stands beside the SIP path: package proxy
// tells it of every SUBSCRIBE, NOTIFY and third-party REGISTER before they are
// forwarded, and of their outcomes. It learns subscriptions (RFC 6665) and
// registrations (TS 24.229 5.4.1.7) from them, and answers at once with a
// Ruling or a Verdict. What concerns a user it offers to the other half, the
// Engine, which feeds package policy and carries out what that decides.
//
// # The way of a NOTIFY
//
// Notify finds the subscription by Call-ID, tags and event package, and gives
// back a Ref. The proxy keeps the Ref with the open transaction and returns it
// with the Outcome to NotifyDone. The table in outcome.go says what the outcome
// is worth by itself; notify.go weighs it with what is known of the
// subscription (it may have ended, or a newer one may have taken its place).
// Only then is it a failure, and the Engine hears of it once the answer to the
// server has left.
//
// # What is kept
//
// A subscription is one fixed-size record and one string; records live in slabs
// that are sharded by Call-ID, and refer to one another by slot number. Users
// (the addresses of record) are sharded by their name. Everything is bounded:
// what does not fit is forwarded all the same, not tracked, and counted.
//
// # What a crash may cost
//
// States of users and facts about subscriptions go different ways to the disk, so their
// order is seen to. That a dialog is dead is kept in one commit with the failure that it
// died of, and that a new one has taken its place after its user is: the next process
// takes it that whatever a subscription has been through is known of its user. An alarm
// is told, and a request leaves, when that it has is safe. With MonitorConfig.Careful an
// answer, too, waits for what it tells of: whoever has none repeats his request.
//
// # Why
//
// A failed subscription is declared dead here although the server is trusted to
// have deleted it: some servers keep it, and go on sending NOTIFYs into a dialog
// that the watcher was told to replace. They get 481 from rewatch, and so does
// the watcher's next refresh, upon which a client that knows nothing of the
// MESSAGE subscribes anew.
package dialogs
