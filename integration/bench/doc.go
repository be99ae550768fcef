// Command bench measures what rewatch costs, compared with a relay that parses nothing,
// which is the least that a relay can cost, and with Kamailio with tm and rr, which would be
// deployed instead. "make bench" calls it.
//
//	go run ./integration/bench             everything, about a quarter of an hour
//	go run ./integration/bench -quick      two minutes
//	go run ./integration/bench -scenario soak
//	go run ./integration/bench -check-sipp
//
// All systems are measured in turn in every round, because the speed of a machine varies:
// only figures of the same round are compared, as ratios, and a ratio is given as the
// median of the rounds with the least and the greatest.
// A block is one system in one round: it is started, its dialogs are opened by
// SUBSCRIBE, and then NOTIFY, SUBSCRIBE and REGISTER pass at a moderate rate, as
// fast as it can, and at the highest rate without loss.
//
// Package load says how the load is made and checked. The CPU time is that of all
// threads of all processes of the system, by the scheduler's own account; the
// memory is the proportional set size. Before and after, the metrics of rewatch
// are read; bench reports if they do not agree with what the generator counted.
//
// Everything stays in 127.0.0.0/8. Every process is ended by its own id.
package main
