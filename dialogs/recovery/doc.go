// Package recovery keeps the state of every user whom a failed NOTIFY concerns, lets
// package policy decide, and carries out what was decided: MESSAGEs, terminating
// NOTIFYs, de-REGISTERs and alarms, each at its rate. While the core is out it holds
// everything.
//
// Package queue gives requests their turn, package ladder remembers what passed on the
// wire for people to see.
package recovery
