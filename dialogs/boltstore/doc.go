// Package boltstore keeps the memory of one rewatch in a file, with bbolt.
//
// Everything is answered from a shadow in memory; what has changed is gathered and
// committed by one goroutine, at most Options.Sync later. So nobody waits for the
// disk, and a burst of failures costs one fsync for all of it. What a SIGKILL can
// take away is what was saved within that time. bbolt writes pages aside and
// turns over one page at the end, so the file is whole at every moment.
//
// The file has a bucket "rewatch" with the magic, the version of the format and the
// sum of every other bucket, "users" with the state of every user, and a bucket for
// each kind of entry of the journal. Every value ends in a checksum over its key and
// itself: bbolt checks only its first two pages.
//
// # Why
//
// A file that is no state file, or a damaged one, is never written to: every page of
// it is read, without bbolt, before bbolt may touch it. An operator who sees the
// error can still rescue what he wants. Starting without a memory would be worse: it
// signs out nobody, but it forgets bans and raises again what was told already.
//
// A disk that is full, or a file that was taken away, costs what is learnt from then
// on and nothing else: Save says so, and the process goes on with what it knows.
package boltstore
