// Package boltstore keeps the memory of one rewatch in a file, with bbolt.
//
// Everything is answered from a shadow in memory; what has changed is gathered and
// committed by one goroutine, at most Options.Sync later. So nobody waits for the
// disk, and a burst of failures costs one fsync for all of it. What a SIGKILL can
// take away is what was saved within that time. bbolt writes pages aside and
// turns over one page at the end, so the file is whole at every moment.
//
// The file has a bucket "rewatch" with the magic and the version of the format,
// "users" with the state of every user, and a bucket for each kind of entry of the
// journal. Every value ends in a checksum over its key and itself: bbolt checks
// only its first two pages.
//
// # Why
//
// A file that is no state file, or a damaged one, is never written to: its first
// pages are read before bbolt may touch it, and then every page of it once. An
// operator who sees the error can still rescue what he wants. Starting without a
// memory would be worse: it signs out nobody, but it forgets bans and raises
// again what was told already.
package boltstore
