// Package hep mirrors SIP messages to a Homer collector, in version 3 of the
// Homer Encapsulation Protocol (HEP3).
//
// [Sender.Mirror] is a socket.Tap: it encodes each message into a buffer at once (packet.go), and a
// goroutine of its own sends the buffers to the collector over UDP. Mirroring is best effort.
// The number of buffers is bounded, and when none is free the message is counted and not
// mirrored. So neither a slow name server nor an unreachable collector slows the SIP path.
//
// # Why
//
// A sniffer beside rewatch would need none of this, but it needs privileges that a sidecar
// does not get, and it cannot read TLS.
package hep
