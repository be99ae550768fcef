package proxy

import (
	"time"

	"rewatch/dialogs"
)

// phase is how far a record has come.
type phase uint8

const (
	// open: no final response yet.
	open phase = iota
	// answered: the final response was passed on.
	answered
	// judged: rewatch has ruled on the end of it; a late response is told apart.
	judged
)

// record is one transaction of which something has to be remembered. Its fields
// are guarded by the lock of its shard, and it may be another transaction's as
// soon as that lock is given free: what is needed later is copied.
type record struct {
	key   uint64
	loop  uint32
	cseq  uint32
	phase phase
	// attempt counts the hops that were tried; it is in our branch, so that the
	// answer of a hop that was given up is not taken for that of the next.
	attempt uint8
	notify  bool // a NOTIFY of the server: judged by the Monitor
	invite  bool
	cancel  bool
	// absorb: retransmissions of the request end here, because it left by a stream.
	absorb bool
	// resend: retransmitting the request is ours (Timer A or E), because it came
	// by a stream and left by UDP.
	resend bool
	// proceeding: a provisional response came.
	proceeding bool
	// hundred: a 100 was sent upstream.
	hundred bool
	// unanswered: it was judged although no response had come.
	unanswered bool
	late       bool // a response after the verdict was told
	lateRelay  bool // and such responses are passed on
	retried    bool // sent once more on a fresh stream

	ref    dialogs.Ref
	from   flow
	stream uint64 // the stream it left by, 0 for UDP
	hop    hop    // where it went last
	rest   []hop  // where it can go after that, the last one first

	created moment
	// giveUp is the end of the transaction, nextHop when the next candidate is
	// tried, resendAt the next retransmission, interval the pause behind it.
	giveUp, nextHop, resendAt moment
	interval                  time.Duration

	// raw is the request as it came: all of it where it may have to be sent
	// again, else start line and headers. It goes when the record is no longer open.
	raw []byte
	// answer is what retransmissions of the request get.
	answer []byte

	deadline   moment
	slot       int32
	next, prev *record
}

// retransmit arms the timer of retransmissions of our own, if they are ours.
func (r *record) retransmit(now moment, t1 time.Duration) {
	r.resendAt = 0
	if r.resend {
		r.interval = t1
		r.resendAt = now.add(t1)
	}
}

// leaves sets what depends on the transport by which the request leaves.
func (r *record) leaves(now moment, t1 time.Duration) {
	r.absorb = r.hop.network.reliable()
	r.resend = !r.absorb && r.from.local.network.reliable()
	r.stream = 0
	r.retransmit(now, t1)
}

// advance turns to the next candidate.
func (r *record) advance(now moment, t1 time.Duration) {
	n := len(r.rest) - 1
	r.hop, r.rest = r.rest[n], r.rest[:n]
	r.attempt++
	r.retried = false
	r.leaves(now, t1)
	r.share(now)
}

// share gives the present hop its part of the time that is left.
func (r *record) share(now moment) {
	r.nextHop = 0
	if n := len(r.rest); n > 0 {
		r.nextHop = now.add(now.until(r.giveUp) / time.Duration(n+1))
	}
}

// due is when the record has to be looked at.
func (r *record) due(t1 time.Duration) moment {
	at := sooner(sooner(r.giveUp, r.resendAt), r.nextHop)
	if !r.hundred && !r.invite {
		at = sooner(at, r.created.add(timerE2(t1)))
	}
	return at
}

// timerE2 is how long it takes a client's Timer E to reach T2: from then on a
// request without a response has to get a 100 (RFC 4320 4.1).
func timerE2(t1 time.Duration) time.Duration { return 7 * t1 }

// timerC is how long an INVITE that is proceeding may be without a final response
// (RFC 3261 16.6 step 11); every provisional response sets it anew.
const timerC = 3*time.Minute + time.Second

// lingerT4 is Timer K (RFC 3261 17.1.2.2): how long a retransmission may still be
// under way.
const lingerT4 = 5 * time.Second
