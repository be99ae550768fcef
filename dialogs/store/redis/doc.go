// Package redis lets several rewatch processes, each in front of its own
// server, share their memory in Redis (or Valkey): one server, Sentinel or Cluster.
//
// The state of a user is a hash of version, state and who saved it. A script
// compares the version and writes, so that of two replicas which decide on one
// user at a time one has to decide again. The same script publishes whose state
// has changed, and the other replicas load it: a ban that one of them sets is in
// force at all of them some milliseconds later.
//
//	rewatch:user:{sip:alice@ims.example}           state and version, a hash
//	rewatch:registration:{sip:alice@ims.example}   who is registered, for all
//	rewatch:subscription:INSTANCE:{...}            what one process knows of its server
//	rewatch:alarm:INSTANCE:{...}                   what one process has raised
//	rewatch:changed                                the channel
//
// Every key has a time to live, so that nothing stays for ever, whoever leaves.
//
// # Why
//
// Redis may be slow, away, or empty after a restart, and rewatch stands in the
// path of a whole server. So every operation is short or an error; after a few
// errors in a row there are errors at once, until a probe finds Redis well again.
// Nothing is tried twice: a script whose answer was lost may have been done, and
// doing it again would look like a conflict with oneself.
//
// A deleted state leaves its version behind for a while. Where not even that is to
// be found, nobody has deleted it: Redis has lost it (dialogs.ErrLost), and who
// still knows it writes it again.
//
// Versions are the clock of Redis in microseconds, moved on where it stands still,
// so that a version means the same record even after everything was lost.
package redis
