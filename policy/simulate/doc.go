// Package simulate shows what the rules do to millions of watchers: hours of a
// network in seconds, the same for the same seed.
//
// The decisions are the product's own, policy.Decide and outage.Paths. What the
// engine in package dialogs/recovery does around them is modelled: the queues with their
// rates, the cap on de-REGISTERs, what a hold keeps back and the working off
// after it. So is the world: hops that are silent for a time, messages that are
// lost and sent again by the timers of RFC 3261, phones that are switched off,
// clients that take no notice of the MESSAGE and come back when they refresh, users
// with two devices, phones that come back behind another hop.
//
// Time is cut into steps of a tenth of a second. In each, the NOTIFYs of the
// healthy are drawn as one number for each hop, for nothing follows from a
// success but its count. Only a watcher in trouble gets a record, a policy.State
// and events of its own; with ten million watchers that is the few per cent whose
// NOTIFY was lost.
//
// # What is left out
//
// Bytes, load and queueing in the network, the store, restarts, and what the Monitor knows
// of dialogs: a NOTIFY in one that the phone has left is ignored. The NOTIFYs that a dead
// phone would have got are drawn for it alone, so it counts twice in the total, once as
// healthy; it is one of thousands.
package simulate
