// Package bolt is a store.Store in a file, for one rewatch process, with bbolt.
//
// Records are read from a copy in memory. One goroutine gathers the changes and commits
// them, at most Options.Sync later. So callers do not wait for the disk, and a burst of
// failures costs one fsync. A SIGKILL loses at most what was saved within that time. bbolt
// writes new pages first and then one page that refers to them, so the file is consistent
// at every moment.
//
// The file has a bucket "rewatch" with the magic and the version of the format, "users"
// with the state of every user, and a bucket for each kind of entry of the journal. Every
// value begins with a version of its own and ends in a checksum over its key and itself:
// bbolt checks only its first two pages.
//
// # Why
//
// A sidecar that does not start harms more users than a forgotten count does. So a state
// file that cannot be read (damaged, truncated, of another format) is moved aside, where an
// operator can look at it, and a new one is started (see Lost). A file that was never a
// state file belongs to another program: it is left as it is, and Open fails.
//
// This has to be decided before bbolt opens the file to write, for bbolt ends the process
// upon some kinds of damage. So rewatch reads all pages first.
//
// If the disk is full or the file is removed, only later changes are lost: Save returns an
// error, and the process continues with the copy in memory.
package bolt
