// Package transport moves messages over streams. A Stream is one TCP or TLS connection: it
// cuts the byte stream into messages by Content-Length, and it writes what has gathered with
// one call. Streams keeps those of one side: it accepts, dials once per peer, and closes what
// is slow or idle. Datagrams are moved by package datagram.
//
// The package knows message boundaries and nothing else of SIP.
package transport
