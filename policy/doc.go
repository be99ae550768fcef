// Package policy decides what is done for a watcher whose NOTIFYs fail.
//
// It is the recovery as an explicit state machine:
//
//	Decide(rules, state, event) -> (state, actions)
//
// Decide is pure. It reads no clock (time arrives in Event.At), it waits by
// writing State.Deadline, and it acts by returning Actions. The caller, package
// dialogs/recovery, keeps one State per address of record, saves it before it
// carries out the actions, and feeds every outcome back as an Event.
// So a decision can be replayed, tested without sockets and clocks, and taken
// up again after a restart.
//
// # Why
//
// The unit that is counted is the MESSAGE (never its retransmissions): what the
// user was asked to do and did not do. Failures that come close together are one
// episode, because they have one cause.
//
// A user has devices. Each has subscriptions of its own, comes back by itself, and
// is signed out by itself: one dead phone must cost another one nothing.
package policy
