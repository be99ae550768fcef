package socket

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"rewatch/dialogs"
	"rewatch/proxy/route"
	"rewatch/proxy/transport/datagram"
	"rewatch/proxy/wire"
)

// Listener is one open socket of one side.
type Listener struct {
	Side dialogs.Side
	// Network is "udp", "tcp" or "tls"; Packet is set for the first, Stream for
	// the others (for tls it does the handshake itself).
	Network string
	Packet  net.PacketConn
	Stream  net.Listener
	// Advertise is the host[:port] that goes into Via and Record-Route; the
	// port defaults to the socket's.
	Advertise string
	// Aliases are further host:port by which neighbours may name this socket.
	Aliases []string
}

// Socket is one of our sockets.
type Socket struct {
	Index     int
	Side      dialogs.Side
	Transport wire.Transport
	Packet    *datagram.Packet // of UDP
	four, six bool             // it speaks IPv4, IPv6
	// Bound is the address that it is bound to, invalid if it is bound to all addresses of the
	// host; own is then the address that requests are sent from, invalid if the system
	// chooses.
	Bound, own netip.Addr
	// Self is the address that a Tap is shown for it.
	Self netip.AddrPort
	// SentBy is host:port for Via; record is the URI for Record-Route, in full:
	// the marker "rw" tells our dialogs' routes from a Route that merely names us.
	// secure is the same where the request is for a sips URI (RFC 3261 16.6 step 4).
	SentBy, record, secure string
}

// RecordRoute is the URI of the socket in the Record-Route of a request.
func (l *Socket) RecordRoute(sips bool) string {
	if sips {
		return l.secure
	}
	return l.record
}

// newSocket makes the Socket of a listener, and its names.
func newSocket(index int, l Listener) (*Socket, route.Names, error) {
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
	me := &Socket{Index: index, Side: l.Side, Transport: n, SentBy: hostPort(string(host), port), Self: selfOf(bound, string(host))}
	if ip := bound.Addr().Unmap(); !ip.IsUnspecified() {
		me.Bound = ip
	} else {
		me.own = ownAddress(ip, string(host))
	}
	me.four, me.six = families(bound.Addr())
	me.record = "sip:" + me.SentBy + ";lr;rw"
	if n != wire.UDP {
		me.record = "sip:" + me.SentBy + ";transport=" + n.String() + ";lr;rw"
	}
	if me.secure = me.record; n == wire.TLS {
		me.secure = "sips:" + me.SentBy + ";lr;rw"
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

// ownAddress is the address that a socket sends requests from, if it is bound to all addresses
// of the host: the advertised one, which is in Via and Record-Route and which peers and
// firewalls know. Invalid: the host has no other, or a name is advertised.
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

// selfOf is the address by which neighbours know a socket.
func selfOf(bound netip.AddrPort, advertised string) netip.AddrPort {
	a := bound.Addr().Unmap()
	if a.IsUnspecified() {
		if ip, err := netip.ParseAddr(advertised); err == nil {
			a = ip
		} else if all := addresses(a); len(all) > 0 {
			a = all[0]
		}
	}
	return netip.AddrPortFrom(a, bound.Port())
}

// families tells which address families a socket can send to. One that is bound to [::] can
// send to both.
func families(bound netip.Addr) (four, six bool) {
	if bound.Is4() || bound.Is4In6() {
		return true, false
	}
	return bound.IsUnspecified(), true
}

// speaks tells whether the socket can send to an address.
func (l *Socket) speaks(a netip.Addr) bool {
	if a.Is4() {
		return l.four
	}
	return l.six
}

// near tells how near a socket is to another one of its side: 3 is the same one, 2 the same
// address and port by another transport, 1 the same address.
func (l *Socket) near(other *Socket) int {
	switch {
	case l == other:
		return 3
	case other == nil || l.Self.Addr() != other.Self.Addr():
		return 0
	case l.Self.Port() == other.Self.Port():
		return 2
	}
	return 1
}

// addresses are those by which a bound socket can be reached: the one that it is bound to, or
// those of all interfaces.
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
