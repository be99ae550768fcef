// Package bolt keeps the memory of one rewatch in a file, with bbolt.
//
// Everything is answered from a shadow in memory; what has changed is gathered and
// committed by one goroutine, at most Options.Sync later. So nobody waits for the
// disk, and a burst of failures costs one fsync for all of it. What a SIGKILL can
// take away is what was saved within that time. bbolt writes pages aside and
// turns over one page at the end, so the file is whole at every moment.
//
// The file has a bucket "rewatch" with the magic and the version of the format, "users"
// with the state of every user, and a bucket for each kind of entry of the journal. Every
// value begins with a version of its own and ends in a checksum over its key and itself:
// bbolt checks only its first two pages.
//
// # Why
//
// A sidecar that does not start harms more users than a count that is forgotten. So a
// state file that cannot be read, because it is damaged, cut off or of another format, is
// moved aside, where an operator may look at it, and a new one is begun (Lost tells of
// it). What was never a state file is somebody else's: it is left alone, and an error.
//
// Which of them it is has to be known before bbolt may touch the file, which ends the
// process upon some kinds of damage: so its pages are gone through first.
//
// A disk that is full, or a file that was taken away, costs what is learnt from then
// on and nothing else: Save says so, and the process goes on with what it knows.
package bolt
