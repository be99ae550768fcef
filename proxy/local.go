package proxy

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/observe"
	"rewatch/proxy/route"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// local is one of our sockets.
type local struct {
	index     int
	side      dialogs.Side
	transport wire.Transport
	packet    *datagram.Packet // of udp
	four      bool             // it speaks IPv4
	six       bool             // it speaks IPv6
	// bound is the address that it is bound to, invalid if that is all of the host's; own is
	// then the one that requests leave from, invalid if the system chooses.
	bound, own netip.Addr
	// self is the address that a Tap is shown for it.
	self netip.AddrPort
	// sentBy is host:port for Via; record is the URI for Record-Route, in full:
	// the marker "rw" tells our dialogs' routes from a Route that merely names us.
	// secure is the same where the request is for a sips URI (RFC 3261 16.6 step 4).
	sentBy, record, secure string
}

// newLocal makes the description of a listener and the names it goes by.
func newLocal(index int, l Listener) (*local, route.Names, error) {
	n, ok := wire.ParseTransport([]byte(l.Network))
	if !ok {
		return nil, nil, fmt.Errorf("unknown network %q", l.Network)
	}
	var addr net.Addr
	if n == wire.UDP {
		addr = l.Packet.LocalAddr()
	} else {
		addr = l.Stream.Addr()
	}
	bound, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return nil, nil, fmt.Errorf("address of listener %s: %w", addr, err)
	}
	advertise := l.Advertise
	if advertise == "" {
		advertise = hostPort(bound.Addr().Unmap().String(), int(bound.Port()))
	}
	host, port, ok := wire.HostPort([]byte(advertise))
	if !ok {
		return nil, nil, fmt.Errorf("advertised address %q: not host[:port]", advertise)
	}
	if port == 0 {
		port = int(bound.Port())
	}
	me := &local{index: index, side: l.Side, transport: n, sentBy: hostPort(string(host), port), self: selfOf(bound, string(host))}
	if ip := bound.Addr().Unmap(); !ip.IsUnspecified() {
		me.bound = ip
	} else {
		me.own = ownAddress(ip, string(host))
	}
	me.four, me.six = families(bound.Addr())
	me.record = "sip:" + me.sentBy + ";lr;rw"
	if n != wire.UDP {
		me.record = "sip:" + me.sentBy + ";transport=" + n.String() + ";lr;rw"
	}
	if me.secure = me.record; n == wire.TLS {
		me.secure = "sips:" + me.sentBy + ";lr;rw"
	}
	ns := route.Names{route.NewName(string(host), port, index, l.Side)}
	for _, ip := range addresses(bound.Addr().Unmap()) {
		ns = append(ns, route.NewName(ip.String(), int(bound.Port()), index, l.Side))
	}
	for _, alias := range l.Aliases {
		if host, port, ok := wire.HostPort([]byte(alias)); ok {
			if port == 0 {
				port = int(bound.Port())
			}
			ns = append(ns, route.NewName(string(host), port, index, l.Side))
		}
	}
	return me, ns, nil
}

// ownAddress is the address that requests of a socket leave from which is bound to all that
// the host has: the one that it goes by, so that Via and Record-Route name it and peers and
// firewalls know it. Invalid: the system has no choice, or it goes by a name.
func ownAddress(all netip.Addr, advertised string) netip.Addr {
	ip, err := netip.ParseAddr(advertised)
	if err != nil || !ip.IsGlobalUnicast() {
		return netip.Addr{}
	}
	others := slices.DeleteFunc(addresses(all), func(a netip.Addr) bool {
		return a == ip || a.Is4() != ip.Is4() || !a.IsGlobalUnicast()
	})
	if len(others) == 0 {
		return netip.Addr{}
	}
	return ip
}

// families tells which addresses a socket can talk to. One that is bound to [::]
// speaks both.
func families(bound netip.Addr) (four, six bool) {
	if bound.Is4() || bound.Is4In6() {
		return true, false
	}
	return bound.IsUnspecified(), true
}

// speaks tells whether the socket can reach an address.
func (l *local) speaks(a netip.Addr) bool {
	if a.Is4() {
		return l.four
	}
	return l.six
}

// near tells how close a socket is to another one of its side: the same one, at the same
// address and port by another transport, at the same address.
func (l *local) near(other *local) int {
	switch {
	case l == other:
		return 3
	case other == nil || l.self.Addr() != other.self.Addr():
		return 0
	case l.self.Port() == other.self.Port():
		return 2
	}
	return 1
}

// addresses are those by which a bound socket can be reached: its own, or those
// of all interfaces.
func addresses(bound netip.Addr) []netip.Addr {
	if !bound.IsUnspecified() {
		return []netip.Addr{bound}
	}
	var list []netip.Addr
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				list = append(list, ip.Unmap())
			}
		}
	}
	return list
}

// hostPort joins host and port as Via and URIs do, IPv6 in brackets.
func hostPort(host string, port int) string {
	if strings.IndexByte(host, ':') >= 0 {
		return "[" + host + "]:" + strconv.Itoa(port)
	}
	return host + ":" + strconv.Itoa(port)
}

// flow is where a message came from, and where its response has to go.
type flow struct {
	local  *local
	stream uint64 // ID of the stream, 0 for UDP
	addr   netip.AddrPort
	// at is the address of ours that it came to, where the socket is bound to all that
	// the host has: its response leaves from there (RFC 3581 4).
	at netip.Addr
}

// seen is the neighbour as an Observer knows it.
func (f flow) seen() observe.From {
	return observe.From{
		Side: f.side(), Addr: f.addr, Transport: f.local.transport.String(), Stream: f.stream != 0, Local: uint8(f.local.index), //nolint:gosec // New bounds the sockets
	}
}

func (f flow) side() dialogs.Side { return f.local.side }

// across is the other side, where a request of this flow goes.
func (f flow) across() dialogs.Side { return dialogs.Server - f.local.side }

// recordFor is the URI of the socket in the Record-Route of a request.
func (l *local) recordFor(sips bool) string {
	if sips {
		return l.secure
	}
	return l.record
}

// sockets are all of ours.
type sockets struct {
	locals []*local
	bySide [2][wire.TLS + 1][]*local // those of a side and transport
	names  route.Names
}

// local is the socket of a side that speaks a transport and reaches an address; of
// several the one that is nearest to another of that side, if one is named, else the one
// that has its family to itself. Without an address any will do.
func (s *sockets) local(side dialogs.Side, n wire.Transport, to netip.Addr, other *local) (found *local) {
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

// unread tells whether a datagram waits in one of the sockets.
func (s *sockets) unread() bool {
	for _, l := range s.locals {
		if l.packet != nil && l.packet.Waiting() {
			return true
		}
	}
	return false
}

// flowOf is the flow that a transaction remembers.
func (s *sockets) flowOf(o transaction.Origin) flow {
	return flow{local: s.locals[o.Local], stream: o.Stream, addr: o.Addr, at: o.At}
}

// ownBranch reads the branch of a Via value if that value is ours.
func (s *sockets) ownBranch(value []byte) (draft.Branch, bool) {
	via, ok := wire.ParseVia(value)
	if !ok {
		return draft.Branch{}, false
	}
	b, ok := draft.ParseBranch(via.Branch)
	if !ok || b.Local >= len(s.locals) {
		return draft.Branch{}, false
	}
	return b, s.ownVia(&via)
}

func (s *sockets) ownVia(via *wire.ViaValue) bool {
	return s.names.Find(via.Host, int(draft.SentByPort(via))) != nil
}

// passed tells whether a request has passed here before: looped without a change to what
// decides its route (RFC 3261 16.3 step 4, RFC 5393), as a spiral with one.
func (s *sockets) passed(m *wire.Message, loop uint32) (looped, spiral bool) {
	m.ValuesWith(wire.Via, draft.BranchStart, func(value []byte) bool {
		if b, ok := s.ownBranch(value); ok {
			spiral, looped = true, looped || b.Loop == loop
		}
		return !looped
	})
	return looped, spiral
}

// boundIPs are the addresses of the listeners of a side that speak a transport, then of
// those that speak another, or those that they go by: what neighbours and firewalls know
// us by.
func (s *sockets) boundIPs(side dialogs.Side, transports ...wire.Transport) (list []netip.Addr) {
	for _, t := range transports {
		for _, l := range s.bySide[side][t] {
			if ip := cmp.Or(l.bound, l.own); ip.IsValid() {
				list = append(list, ip)
			}
		}
	}
	return list
}
