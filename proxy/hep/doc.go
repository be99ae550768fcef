// Package hep mirrors SIP messages to a Homer collector, in version 3 of the
// Homer Encapsulation Protocol (HEP3).
//
// A [Sender] is a proxy.Tap: what it is shown is encoded into a buffer at once,
// by packet.go, and a goroutine of its own carries the buffers to the collector
// over UDP. Mirroring is best effort. The buffers are few, and when none is free
// the message is not mirrored but counted; so neither a slow name server nor a
// collector that is away is ever felt on the SIP path.
//
// # Why
//
// A sniffer beside rewatch would do without all this, but it needs privileges
// that a sidecar does not get, and it cannot look into TLS.
package hep
