// Package resolve finds where a request goes (RFC 3263): from the URI of a Route
// or a Request-URI to a list of addresses, each with its transport, in the order
// in which they are to be tried.
//
// A literal address needs no question and is answered at once. A name is asked
// for by NAPTR, SRV (RFC 2782) and A/AAAA, as much of it as the URI leaves open.
// Answers are kept in a bounded cache for as long as DNS allows, within limits,
// and stale answers are served while fresh ones are fetched, so that the SIP
// path never waits: [Resolver.Lookup] returns at once, [Resolver.Await] calls
// back. [Resolver.Resolve] is for those who may wait.
//
// Names that have to be asked for wait in one queue: those of our own and those that are
// known first, then one of each asker in turn, so that nobody's inventions keep others
// waiting. [Spread] gives each flow its order of the servers of an SRV name.
//
// # Why
//
// The resolver of package net knows no NAPTR and tells no TTL, so the questions
// are asked here, through [Exchanger]; [System] is the one that speaks DNS.
package resolve
