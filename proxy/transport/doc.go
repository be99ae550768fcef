// Package transport moves messages over streams. A Stream is one TCP or TLS connection: it cuts
// the byte stream into messages by Content-Length, and writes all queued messages with one call.
// Streams keeps those of one side: it accepts, dials once per peer, and closes those that are
// slow or idle. Package datagram moves datagrams.
//
// The package knows message boundaries and nothing else of SIP.
package transport
