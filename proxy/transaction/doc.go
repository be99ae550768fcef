// Package transaction decides what one transaction of the proxy does next.
//
// A Transaction is a small record. Its methods are the events of its life: it
// begins, the request comes again, a response comes, a send has failed, time has
// passed. Each takes the time and the event, changes nothing but the record, and
// returns an Effect that says what to do: send, answer, pass on, ask for a verdict.
// Nobody is called and nothing is sent, so every transition can be tested by itself.
//
//	event           open                                       over (answered or closed)
//	-----           ----                                       -------------------------
//	Repeat          forward, or absorb where rewatch           the answer that is kept
//	                retransmits or waits itself
//	1xx             pass on, but 100; Timer A and B end        -
//	2xx             pass on, over                              pass on; after a verdict tell
//	503             next hop, if there is one; else as below
//	491, temporary  once more after a pause, if there is time
//	3xx-6xx         over: pass on or verdict; ACK of INVITE    ACK once more
//	Fail            other transport, fresh connection, next    -
//	                hop; else over: unreachable
//	time            retransmit (A, E), next hop, 100; at the   Timer G; at the end forget
//	                deadline over: timed out
//
// A Table holds the transactions by the hash that is also in the branch of rewatch's
// Via, with the bytes of the request that a transaction may need again. It is in
// shards. Each of its methods takes the lock of one shard, lets the Transaction
// decide, and gives the lock back before it returns the Effect.
//
// # Why
//
// A hundred thousand transactions may be open at a time, so a record is kept small,
// what few records need is set apart, and their deadlines are on a timing wheel
// that costs nothing while nothing is due.
package transaction
