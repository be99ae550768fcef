// Package resolve finds the addresses of a URI (RFC 3263): from the URI of a Route or a
// Request-URI to a list of addresses, each with its transport, in the order in which they are
// to be tried.
//
// A literal address needs no lookup. A name is looked up by NAPTR, SRV (RFC 2782) and A/AAAA,
// as far as the URI leaves them open. Answers are kept in a bounded cache for as long as DNS
// allows, within limits, and old answers are used while new ones are looked up. So the SIP path
// never waits: [Resolver.Lookup] returns at once, [Resolver.Await] calls back.
// [Resolver.Resolve] is for callers that may wait.
//
// Names that have to be looked up wait in one queue: our own and those that are known first,
// then one of each asker in turn, so that an asker of many invented names does not delay the
// others. [Spread] gives each flow its order of the servers of an SRV name.
//
// # Why
//
// The resolver of package net does not support NAPTR and does not tell the TTL, so this package
// sends its own DNS questions through an [Exchanger]. [System] is the one that speaks DNS.
package resolve
