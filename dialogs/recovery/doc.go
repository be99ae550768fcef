// Package recovery keeps the state of every user whose NOTIFYs fail, has package policy decide
// what to do, and carries that out: MESSAGEs, terminating NOTIFYs, de-REGISTERs and alarms, each
// at its rate. While the core is out it holds everything back.
//
// Below it, package hold says which next hops are held, queue gives requests their turn,
// holddown spares users who flap, hook signs users out by HTTP, ladder remembers what passed on
// the wire, and alarmlog keeps alarms over a restart.
package recovery
