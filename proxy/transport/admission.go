package transport

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Refusal is why a connection was closed at once, or had to make room; the set is
// closed.
type Refusal string

// The refusals.
const (
	RefusedUntrusted   Refusal = "untrusted"        // not admitted
	RefusedStreams     Refusal = "streams"          // MaxStreams is reached
	RefusedPerPeer     Refusal = "streams-per-peer" // MaxPerPeer is reached
	RefusedSilent      Refusal = "silent"           // it had said nothing, and made room for another
	RefusedSlow        Refusal = "slow"             // no whole message has come in time
	RefusedMemory      Refusal = "stream-memory"    // its message was long, and MaxPartial is reached
	RefusedDescriptors Refusal = "descriptors"      // the system has no more; it waits in the kernel
)

// Refusals lists them all.
func Refusals() []Refusal {
	return []Refusal{
		RefusedUntrusted, RefusedStreams, RefusedPerPeer, RefusedSilent, RefusedSlow, RefusedMemory, RefusedDescriptors,
	}
}

// grace is how long a connection may say nothing before it has to make room where
// there is none: a peer that connects in order to talk does so at once.
const grace = time.Second

// admission counts the connections that were accepted. Where no more are allowed, one
// that has not yet brought a whole message makes room, the oldest first: whoever
// opens thousands of them in order to keep others out keeps out nobody but
// himself. One that has spoken is never closed for a newcomer. The lock of the
// set guards it.
type admission struct {
	most, mostPerPeer int
	n                 int
	perPeer           map[netip.Addr]int
	tight             *atomic.Bool
	// first and last are the ends of the list of those that have said nothing yet.
	first, last *Stream
}

// opens tells whether another connection may enter. victim, if not nil, has to
// leave for it; otherwise why says what keeps it out.
func (d *admission) opens(peer netip.Addr, now time.Time) (victim *Stream, why Refusal) {
	switch {
	case d.mostPerPeer < d.most && d.perPeer[peer] >= d.mostPerPeer:
		return d.idler(peer, now), RefusedPerPeer
	case d.n >= d.most, d.tight.Load():
		return d.idler(netip.Addr{}, now), RefusedStreams
	}
	return nil, ""
}

// idler is the oldest connection, of one address or of any, that has said nothing
// for longer than a talker would.
func (d *admission) idler(peer netip.Addr, now time.Time) *Stream {
	for s := d.first; s != nil && now.Sub(s.since) >= grace; s = s.after {
		if !peer.IsValid() || s.Peer.Addr() == peer {
			return s
		}
	}
	return nil
}

// enters counts a connection, which has said nothing yet.
func (d *admission) enters(s *Stream) {
	d.n++
	d.perPeer[s.Peer.Addr()]++
	s.inside, s.silent, s.before = true, true, d.last
	if d.last != nil {
		d.last.after = s
	} else {
		d.first = s
	}
	d.last = s
}

// leaves counts it no more; it may be told twice.
func (d *admission) leaves(s *Stream) {
	if !s.inside {
		return
	}
	s.inside = false
	d.spoke(s)
	d.n--
	if ip := s.Peer.Addr(); d.perPeer[ip] > 1 {
		d.perPeer[ip]--
	} else {
		delete(d.perPeer, ip)
	}
}

// spoke takes a connection off the list of the silent.
func (d *admission) spoke(s *Stream) {
	if !s.silent {
		return
	}
	s.silent = false
	if s.before != nil {
		s.before.after = s.after
	} else {
		d.first = s.after
	}
	if s.after != nil {
		s.after.before = s.before
	} else {
		d.last = s.before
	}
	s.before, s.after = nil, nil
}
