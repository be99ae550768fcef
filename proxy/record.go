package proxy

import (
	"net/netip"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
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
// soon as that lock is given free: what is needed later is copied. A hundred
// thousand may be open at a time, so it is kept small.
type record struct {
	key    uint64
	ref    dialogs.Ref
	from   flow
	stream uint64         // the stream it left by, 0 for UDP
	to     netip.AddrPort // where it went last
	more   *more          // never nil

	created, giveUp, deadline moment

	// text is, while the record is open, what is kept of the request: all of it
	// where it may have to be sent again, else what an answer needs. After that it
	// is the answer to its retransmissions.
	text []byte

	next, prev *record
	slot       int32
	loop, cseq uint32

	phase phase
	// attempt counts the hops that were tried; it is in our branch, so that the
	// answer of a hop that was given up is not taken for that of the next.
	attempt   uint8
	transport wire.Transport // of the hop
	upgraded  bool           // the hop is
	notify    bool           // a NOTIFY of the server: judged by the Monitor
	invite    bool
	cancel    bool
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
}

// more is what few records need.
type more struct {
	// name is the hop's server name of TLS.
	name string
	// rest is where the request can go after the present hop, the last one first.
	rest []resolve.Hop
	// nextHop is when the next candidate is tried, resendAt the next
	// retransmission, interval the pause behind it.
	nextHop, resendAt moment
	interval          time.Duration
}

// nothing is the more of those that need none. It is never written.
var nothing more

// own gives the record's own more, to be written.
func (r *record) own() *more {
	if r.more == &nothing {
		r.more = new(more)
	}
	return r.more
}

// empty makes a record ready for another transaction.
func (r *record) empty() {
	kept := r.more
	if kept == nil || kept == &nothing {
		kept = &nothing
	} else {
		*kept = more{rest: kept.rest[:0]}
	}
	*r = record{more: kept}
}

// hop is where the request went last.
func (r *record) hop() resolve.Hop {
	return resolve.Hop{Addr: r.to, ServerName: r.more.name, Transport: r.transport, Upgraded: r.upgraded}
}

// goTo sets where it goes.
func (r *record) goTo(h resolve.Hop) {
	r.to, r.transport, r.upgraded = h.Addr, h.Transport, h.Upgraded
	if r.more.name != h.ServerName {
		r.own().name = h.ServerName
	}
}

// quiet ends all retransmissions and further attempts.
func (r *record) quiet() {
	if r.more != &nothing {
		r.more.resendAt, r.more.nextHop = 0, 0
	}
}

// retransmit arms the timer of retransmissions of our own, if they are ours.
func (r *record) retransmit(now moment, t1 time.Duration) {
	if r.more.resendAt != 0 {
		r.more.resendAt = 0
	}
	if r.resend {
		own := r.own()
		own.interval = t1
		own.resendAt = now.add(t1)
	}
}

// later has the request sent once more by a connection, when a pause is over that grows
// each time.
func (r *record) later(now moment, least time.Duration) {
	own := r.own()
	own.interval = max(own.interval, least)
	own.resendAt = now.add(own.interval)
	own.interval = min(max(2*own.interval, firstPause), longestPause)
	r.stream = 0
}

const (
	// firstPause and longestPause are between the connections that one request needs.
	firstPause   = 250 * time.Millisecond
	longestPause = 4 * time.Second
)

// leaves sets what depends on the transport by which the request leaves.
func (r *record) leaves(now moment, t1 time.Duration) {
	r.absorb = r.transport.Reliable()
	r.resend = !r.absorb && r.from.local.transport.Reliable()
	r.stream = 0
	r.retransmit(now, t1)
}

// advance turns to the next candidate.
func (r *record) advance(now moment, t1 time.Duration) {
	own := r.own()
	n := len(own.rest) - 1
	r.goTo(own.rest[n])
	own.rest = own.rest[:n]
	r.attempt++
	r.retried = false
	r.leaves(now, t1)
	r.share(now)
}

// share gives the present hop its part of the time that is left.
func (r *record) share(now moment) {
	if n := len(r.more.rest); n > 0 {
		r.own().nextHop = now.add(now.until(r.giveUp) / time.Duration(n+1))
	} else if r.more.nextHop != 0 {
		r.more.nextHop = 0
	}
}

// due is when the record has to be looked at.
func (r *record) due(t1 time.Duration) moment {
	at := sooner(sooner(r.giveUp, r.more.resendAt), r.more.nextHop)
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
