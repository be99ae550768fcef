package socket

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"net/netip"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/route"
	"rewatch/proxy/transport"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// Set is all of our sockets, with the connections of each side.
type Set struct {
	All     []*Socket
	Names   route.Names // of all of them
	Streams [2]*transport.Streams
	Tap     Tap // nil: nobody is shown anything
	// Dropped is told how many datagrams a socket did not accept.
	Dropped func(n int, err error)
	// SentOver is told over which connection the request of a record is about to be sent.
	SentOver func(record, stream uint64)
	Seed     maphash.Seed // of the names of connections

	bySide [2][wire.TLS + 1][]*Socket // those of a side and transport
}

// Add adds the socket of a listener.
func (s *Set) Add(l Listener) (*Socket, error) {
	me, names, err := newSocket(len(s.All), l)
	if err != nil {
		return nil, err
	}
	if l.Packet != nil {
		if me.Packet, err = datagram.NewPacket(l.Packet); err != nil {
			return nil, fmt.Errorf("socket %s: %w", l.Packet.LocalAddr(), err)
		}
		me.Packet.Own = me.own
	}
	s.All, s.Names = append(s.All, me), append(s.Names, names...)
	s.bySide[l.Side][me.Transport] = append(s.bySide[l.Side][me.Transport], me)
	return me, nil
}

// For is the socket of a side that speaks a transport and reaches an address. Of several it is
// the one that is nearest to another socket of that side, if other is given, else one that
// speaks only the family of the address. Without an address it may be any.
func (s *Set) For(side dialogs.Side, n wire.Transport, to netip.Addr, other *Socket) (found *Socket) {
	if all := s.bySide[side][n]; len(all) == 1 && (!to.IsValid() || all[0].speaks(to)) {
		return all[0]
	}
	for _, l := range s.bySide[side][n] {
		switch {
		case to.IsValid() && !l.speaks(to):
		case found == nil, l.near(other) > found.near(other):
			found = l
		case l.near(other) == found.near(other) && found.four && found.six:
			found = l
		}
	}
	return found
}

// Unread tells whether a datagram waits in one of the sockets.
func (s *Set) Unread() bool {
	for _, l := range s.All {
		if l.Packet != nil && l.Packet.Waiting() {
			return true
		}
	}
	return false
}

// Drops is how many datagrams of a side the kernel has dropped.
func (s *Set) Drops(side dialogs.Side) (n uint64) {
	for _, l := range s.bySide[side][wire.UDP] {
		n += l.Packet.Drops()
	}
	return n
}

// ownBranch reads the branch of a Via value if that value is ours.
func (s *Set) ownBranch(value []byte) (draft.Branch, bool) {
	via, ok := wire.ParseVia(value)
	if !ok {
		return draft.Branch{}, false
	}
	b, ok := draft.ParseBranch(via.Branch)
	if !ok || b.Local >= len(s.All) {
		return draft.Branch{}, false
	}
	return b, s.OwnVia(&via)
}

// OwnVia tells whether a Via names one of our sockets.
func (s *Set) OwnVia(via *wire.ViaValue) bool {
	return s.Names.Find(via.Host, int(draft.SentByPort(via))) != nil
}

// Passed tells whether a request has passed here before: it has looped if the fields that
// decide its route are unchanged (RFC 3261 16.3 step 4, RFC 5393), else it is a spiral.
func (s *Set) Passed(m *wire.Message, loop uint32) (looped, spiral bool) {
	m.ValuesWith(wire.Via, draft.BranchStart, func(value []byte) bool {
		if b, ok := s.ownBranch(value); ok {
			spiral, looped = true, looped || b.Loop == loop
		}
		return !looped
	})
	return looped, spiral
}

// BoundIPs are the addresses by which neighbours and firewalls know the listeners of a side,
// those of the first transport first.
func (s *Set) BoundIPs(side dialogs.Side, transports ...wire.Transport) (list []netip.Addr) {
	for _, t := range transports {
		for _, l := range s.bySide[side][t] {
			if ip := cmp.Or(l.Bound, l.own); ip.IsValid() {
				list = append(list, ip)
			}
		}
	}
	return list
}
