// Package monitor knows who is subscribed to what and who is registered where, from what
// passes by.
//
// # What is kept
//
// A subscription is one fixed-size record and one string; records live in slabs
// that are sharded by Call-ID, and refer to one another by slot number. Users
// (the addresses of record) are sharded by their name. Everything is bounded:
// what does not fit is forwarded all the same, not tracked, and counted.
//
// # Why
//
// A failed subscription is declared dead here although the server is trusted to
// have deleted it: some servers keep it, and go on sending NOTIFYs into a dialog
// that the watcher was told to replace. They get 481 from rewatch, and so does
// the watcher's next refresh, upon which a client that knows nothing of the
// MESSAGE subscribes anew.
package monitor
