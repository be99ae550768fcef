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
// # Why
//
// The resolver of package net knows no NAPTR and tells no TTL, so the questions
// are asked here, through [Exchanger]; [System] is the one that speaks DNS.
package resolve
