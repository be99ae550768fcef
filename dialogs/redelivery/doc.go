// Package redelivery decides what becomes of a NOTIFY that could not be delivered while
// the phone still has its subscription.
//
// Such a NOTIFY is answered 200 to the server, so that the server keeps the subscription,
// and is kept here with its bytes. It is delivered in its own dialog and in its order
// when the device shows a sign of life (Alive), and else after growing pauses. A NOTIFY
// of full state replaces those before it, which nobody needs any more, and one without a
// body those before it that have none; those of partial
// state queue behind each other (RFC 5263, RFC 4235: a gap in the versions would make the
// phone subscribe anew).
//
// The phone should not meet with an older NOTIFY after a newer one: some clients take the
// older state for the newer. So a NOTIFY that comes while the server's earlier one is
// under way is kept as well and waits for its end (Notify.After), and one that follows an
// attempt which another has taken the place of waits for that as long as the phone can be
// current in two seconds (see order). A proxy may send its copy later still (Timer E has
// pauses of four seconds, and nothing calls such a request back). The phone has had that
// NOTIFY and refuses the copy by its CSeq (RFC 3261 12.2.2); where it takes it, it gets
// the newest state once more at once.
//
// A Keeper is a value for one owner: it has no lock, no clock and no socket. The owner
// sends what Next gives and tells the outcome with Done. Every NOTIFY that was kept ends
// exactly once: it was delivered, replaced by newer state, given back to the recovery, or
// dropped because its subscription ended.
//
//	       Keep                 Next                Done
//	kept --------> (waiting) --------> (in flight) ------> Delivered (2xx, 500 to a copy)
//	                   ^                    |------------> GivenBack (481 and its kin)
//	                   |<-------------------'              (temporary: a longer pause)
//	                   |--- Expire: GivenBack;  Drop: Dropped;  newer full state: Replaced
package redelivery
