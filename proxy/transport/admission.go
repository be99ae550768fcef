package transport

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Refusal is why a connection was closed at once, or to make room for another; the set is
// closed.
type Refusal string

// The refusals.
const (
	RefusedUntrusted   Refusal = "untrusted"        // not admitted
	RefusedStreams     Refusal = "streams"          // MaxStreams is reached
	RefusedPerPeer     Refusal = "streams-per-peer" // MaxPerPeer is reached
	RefusedSilent      Refusal = "silent"           // it had sent nothing, and made room for another
	RefusedSlow        Refusal = "slow"             // it sent no complete message in time
	RefusedMemory      Refusal = "stream-memory"    // its message was long, and MaxPartial is reached
	RefusedDescriptors Refusal = "descriptors"      // the process has no more; it waits in the kernel
)

// Refusals lists them all.
func Refusals() []Refusal {
	return []Refusal{
		RefusedUntrusted, RefusedStreams, RefusedPerPeer, RefusedSilent, RefusedSlow, RefusedMemory, RefusedDescriptors,
	}
}

// grace is how long a connection may send nothing before it is closed to make room: a peer that
// has something to send sends it at once.
const grace = time.Second

// admission counts the connections that were accepted. When no more are allowed, the oldest one
// that has not yet sent a complete message is closed to make room. So a peer that opens thousands
// of connections in order to lock others out locks out only itself. A connection that has sent a
// message is never closed for a new one. The lock of the set guards it.
type admission struct {
	most, mostPerPeer int
	n                 int
	perPeer           map[netip.Addr]int
	tight             *atomic.Bool
	// first and last are the ends of the list of connections without a message yet, or without
	// a further one (linger).
	first, last *Stream
}

// opens tells whether another connection is accepted. victim, if not nil, has to be closed for
// it; otherwise why is the reason why it is refused.
func (d *admission) opens(peer netip.Addr, now time.Time) (victim *Stream, why Refusal) {
	switch {
	case d.mostPerPeer < d.most && d.perPeer[peer] >= d.mostPerPeer:
		return d.idler(peer, now), RefusedPerPeer
	case d.n >= d.most, d.tight.Load():
		return d.idler(netip.Addr{}, now), RefusedStreams
	}
	return nil, ""
}

// idler is the oldest connection, of one address or of any, that has sent no message for longer
// than grace.
func (d *admission) idler(peer netip.Addr, now time.Time) *Stream {
	for s := d.first; s != nil && now.Sub(s.since) >= grace; s = s.after {
		if !peer.IsValid() || s.Peer.Addr() == peer {
			return s
		}
	}
	return nil
}

// enters counts a connection that has sent nothing yet.
func (d *admission) enters(s *Stream) {
	d.n++
	d.perPeer[s.Peer.Addr()]++
	s.inside = true
	d.yields(s)
}

// yields adds a connection to those that make room.
func (d *admission) yields(s *Stream) {
	s.silent, s.before, s.after = true, d.last, nil
	if d.last != nil {
		d.last.after = s
	} else {
		d.first = s
	}
	d.last = s
}

// leaves no longer counts a connection; it may be called twice.
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

// spoke removes a connection from the list of those without a message.
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
