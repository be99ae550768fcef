// Package transaction decides what one transaction of the proxy does next.
//
// A Transaction is a small record. Its methods are the events: it begins, the request is
// retransmitted, a response arrives, sending fails, a timer fires. Each takes the time and
// the event, changes nothing but the record, and returns an Effect that says what to do:
// send, answer, forward, ask for a verdict. A method calls nobody and sends nothing, so every
// transition can be tested by itself.
//
//	event           open                                       over (answered or closed)
//	-----           ----                                       -------------------------
//	Repeat          forward, or absorb where rewatch           the answer that is kept
//	                retransmits or waits itself
//	1xx             relay, but not 100; Timer A and B end      -
//	2xx             relay, over                                relay; after a verdict tell
//	503             next hop, if there is one; else as below
//	491, temporary  once more after a pause, if there is time
//	3xx-6xx         over: relay or verdict; ACK of INVITE      ACK once more
//	Fail            other transport, fresh connection, next    -
//	                hop; else over: unreachable
//	time            retransmit (A, E), next hop, 100; at the   Timer G; at the end forget
//	                deadline over: timed out
//
// A Table holds the transactions by the hash that is also in the branch of rewatch's
// Via, with the bytes of the request that a transaction may need again. It is divided into
// shards. Each of its methods takes the lock of one shard, lets the Transaction decide, and
// releases the lock before it returns the Effect.
//
// # Why
//
// A hundred thousand transactions may be open at a time. So a record is small, the fields that
// few records need are stored apart, and the deadlines are on a timing wheel that costs
// nothing while no deadline has passed.
package transaction
