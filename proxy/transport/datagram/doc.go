// Package datagram moves datagrams in batches. A Packet socket reads many with one system
// call into buffers that it uses again, and writes many with one (recvmmsg and sendmmsg on
// Linux, one at a time elsewhere and on sockets that are not UDP, such as the network in
// memory of the tests). A Poller reads several sockets with one goroutine, which costs less when
// datagrams come often.
//
// # Why
//
// On the hot path nine tenths of the time are spent in the kernel, so saving system calls counts
// most; see the table of the benchmark.
//
// A socket that is bound to all addresses of the host asks to which one each datagram was sent
// (IP_PKTINFO) and answers from there. That costs 0.35 us of 12.3 us for a datagram and its
// answer, 0.07 us of 2.3 us in batches, on [::] some half more (BenchmarkAnswer). A socket
// that is bound to one address does not ask.
package datagram
