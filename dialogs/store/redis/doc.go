// Package redis is a store.Store in Redis (or Valkey), which several rewatch processes share,
// each in front of its own server. Redis may be one server, Sentinel or Cluster.
//
// The state of a user is a hash of version, state and who saved it. A script
// compares the version and writes, so that of two replicas which decide on one
// user at the same time one has to decide again. The same script publishes whose state
// has changed, and the other replicas load it: a ban that one replica sets is in
// force at all of them some milliseconds later.
//
//	rewatch:user:{sip:alice@ims.example}           state and version, a hash
//	rewatch:registration:{sip:alice@ims.example}   a registration, shared by all
//	rewatch:subscription:INSTANCE:{...}            what one process knows of its server
//	rewatch:alarm:INSTANCE:{...}                   an alarm that one process has raised
//	rewatch:changed                                the channel
//
// Every key has a time to live, so that nothing stays for ever after a process has gone.
//
// # Why
//
// Redis may be slow, away, or empty after a restart, and rewatch stands in the
// path of a whole server. So every operation is short or fails; after a few errors
// in a row every operation fails at once, until a probe gets an answer.
// Nothing is tried twice: a script whose answer was lost may have run, and to run
// it again would look like a conflict with another process.
//
// A deleted state leaves its version behind for a while. If even the version is
// missing, nobody has deleted the state: Redis has lost it (store.ErrLost), and a
// process that still has it writes it again.
//
// Versions are the clock of Redis in microseconds, incremented where the clock stands
// still, so that no version is given twice, even after Redis has lost everything.
package redis
