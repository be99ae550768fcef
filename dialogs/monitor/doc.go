// Package monitor learns from the messages that pass who is subscribed to what, and who is
// registered at which S-CSCF, and judges the outcome of each NOTIFY.
//
// # What is kept
//
// A subscription is one record of fixed size and one string. The records are in slabs, which
// are sharded by Call-ID, and refer to one another by slot number. Users (addresses of
// record) are sharded by their address. Everything is bounded: what has no room is forwarded
// all the same, is not tracked, and is counted.
//
// # How it is built
//
// Table has the records and their locks. Monitor takes what the SIP path reports and judges it
// under a lock; reporter then tells the Engine, the ladder and the log, without a lock. parcels
// are the NOTIFYs that are kept for a phone. expiry ends what has expired. source writes the
// records to the Journal and restores them.
//
// # Why
//
// A failed subscription is declared dead here although the server should have deleted it:
// some servers keep it and go on sending NOTIFYs in a dialog that the watcher was told to
// replace. rewatch answers them with 481, and the watcher's next refresh as well, upon which
// a client that does not know the MESSAGE subscribes anew.
package monitor
