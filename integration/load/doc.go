// Package load generates SIP load and checks every message of it.
//
// A Generator is both neighbours of the system under test at once: the IMS core
// with its phones on one end, the presence server on the other. One locked thread
// sends requests on one end, receives them on the other, compares them byte by
// byte with what a correct proxy would make of them, answers, and receives the
// answers. So one clock times everything, and only messages that were checked
// count: lost, late, wrong and duplicated messages are counted apart.
//
// A message is a template with fields of fixed width at known places; making one
// is a copy and some digits. What is expected on the other end is made in the
// same way, so checking is a comparison of memory, and the generator is several
// times faster than what it measures.
//
// # Why
//
// SIPp is the bottleneck above some 20,000 messages a second. The sockets are
// raw ones outside the runtime's poller: an idle thread in the poller would be
// woken by every datagram, at the expense of the process that sends it, and that
// is the process under test.
package load
