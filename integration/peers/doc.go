// Package peers holds the SIP entities that rewatch stands between: a small IMS
// core, a small presence server and phones, each on a socket of its own.
//
// They are small but real. A message is built and parsed by sipgo's sip package
// and crosses a loopback socket; requests are sent again by Timer E and given up
// at Timer F, retransmissions are absorbed as Timer J asks (RFC 3261 17). What
// the presence server does when a NOTIFY fails is what Kamailio 5.6 was seen to
// do, because that is the server behaviour rewatch has to get along with.
//
//	phone ── Core (P-CSCF, S-CSCF, registrar) ── [rewatch] ── PresenceServer
//
// Without rewatch the core's application server is the presence server itself;
// with it, the core is given rewatch's core side, and nothing else changes.
//
// A message can be lost or refused on its way by Core.Break. Every message that
// passes a socket is told to a Trace, and every peer answers questions about its
// state (Bindings, Subscriptions, Messages), so that tests and the demo judge by
// facts and need not wait for time to pass.
package peers
