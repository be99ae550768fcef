// Package capture keeps the last SIP messages of watchers, as they were on the wire, so
// that an operator can look into a recovery in Wireshark or sngrep.
//
// A [Recorder] is a proxy.Tap: what it is shown is copied into a ring of fixed size, and
// the oldest goes. Each message is noted with the user whom it concerns: the From of a
// SUBSCRIBE, the To of a NOTIFY, MESSAGE or REGISTER; other methods are not kept.
// Of finds those of one user in a while, [WritePcap] writes them as a file.
//
// # Why
//
// It is off unless REWATCH_CAPTURE is set: the messages have bodies, and to read and copy
// each of them costs about a microsecond. Nothing is made up: what is in the file has
// passed a socket, with these bytes and between these addresses.
package capture
