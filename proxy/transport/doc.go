// Package transport moves bytes: datagrams in batches, and messages over streams.
//
// A Packet socket reads many datagrams with one system call into buffers that it
// uses again, and writes many with one (recvmmsg and sendmmsg on Linux, one at a
// time elsewhere and on sockets that are not UDP, such as the network in memory of
// the tests). A Poller reads several of them with one goroutine, for less where
// datagrams come often. A Stream is one TCP or TLS connection: it cuts the byte
// stream into messages by Content-Length, and it writes what has gathered with one
// call. Streams keeps those of one side: it accepts, dials once per peer, and closes
// what is slow or idle.
//
// The package knows message boundaries and nothing else of SIP.
//
// # Why
//
// On the hot path nine tenths of the time are the kernel's. Saving system calls
// is what counts; see the measurements in the benchmark's table.
//
// A socket that is bound to all addresses of the host asks for that of each datagram
// (IP_PKTINFO) and answers from there. That costs 0.35 us of 12.3 us for a datagram and its
// answer, 0.07 us of 2.3 us in batches, on [::] some half more (BenchmarkAnswer). A socket
// that is bound to one address does not ask.
package transport
