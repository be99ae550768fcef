// Package dialogs has the words that the SIP path, the Monitor and the Engine share:
// what passes by (Message), what is answered (Ruling, Verdict), what became of a NOTIFY
// (Outcome), what the Monitor asks of the recovery (Recovery) and the recovery of it
// (Directory), and what the recovery has done (Actor, Alarms).
//
// The folder knows who is subscribed to what, decides what the end of a NOTIFY
// transaction means for its subscription, and runs the recovery. It has two halves.
// Package monitor stands beside the SIP path: package proxy tells it of every
// SUBSCRIBE, NOTIFY and third-party REGISTER before they are forwarded, and of their
// outcomes. It learns subscriptions (RFC 6665) and registrations (TS 24.229 5.4.1.7)
// from them, and answers at once with a Ruling or a Verdict. What concerns a user it
// offers to the other half, package recovery, which feeds package policy and carries
// out what that decides. The halves share no name but those of this package, and
// neither imports the other. Package store keeps what both have learnt.
//
// # The way of a NOTIFY
//
// Notify finds the subscription by Call-ID, tags and event package, and gives
// back a Ref. The proxy keeps the Ref with the open transaction and returns it
// with the Outcome to NotifyDone. The table of monitor/outcome says what the outcome
// is worth by itself; monitor/verdict.go weighs it with what is known of the
// subscription (it may have ended, or a newer one may have taken its place).
// Only then is it a failure, and the Engine hears of it once the answer to the
// server has left.
//
// # What a crash may cost
//
// States of users and facts about subscriptions go to the disk in one order: what a user
// has been through is written before, or together with, what is known of the subscription
// that it happened to (store.Keeper). The next process takes it that whatever a
// subscription has been through is known of its user. An alarm is told, and a request is
// sent, when that it has been is safe. An answer waits for nothing: a crash takes away the
// failures that passed while the last commit ran.
package dialogs
