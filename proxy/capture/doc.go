// Package capture keeps the last SIP messages of watchers, as they were on the wire, so
// that an operator can look into a recovery in Wireshark or sngrep.
//
// [Recorder.Record] is a socket.Tap: it copies each message into a ring of fixed size, where it
// replaces the oldest. Each message is stored with the user whom it concerns: the From of a
// SUBSCRIBE, the To of a NOTIFY, MESSAGE or REGISTER; other methods are not kept. Of finds the
// messages of one user in a period, [WritePcap] writes them as a file.
//
// # Why
//
// It is off unless REWATCH_CAPTURE is set: the messages have bodies, and reading and copying
// each of them costs about a microsecond. Every message in the file has passed a socket, with
// these bytes and between these addresses.
package capture
