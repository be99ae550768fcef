package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"rewatch/dialogs"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// local is one of our sockets.
type local struct {
	index     int
	side      dialogs.Side
	transport wire.Transport
	packet    *transport.Packet // of udp
	four      bool              // it speaks IPv4
	six       bool              // it speaks IPv6
	// self is the address that a Tap is shown for it.
	self netip.AddrPort
	// sentBy is host:port for Via; record is the URI for Record-Route, in full:
	// the marker "rw" tells our dialogs' routes from a Route that merely names us.
	sentBy, record string
}

// name is one way to name us: an address of a socket.
type name struct {
	host string // lower case
	port int
	side dialogs.Side
}

// names is the list of all; it is short, so it is searched from end to end.
type names []name

// side tells whether host:port is ours, and of which side.
func (ns names) side(host []byte, port int) (dialogs.Side, bool) {
	for i := range ns {
		if ns[i].port == port && wire.EqualFold(host, ns[i].host) {
			return ns[i].side, true
		}
	}
	return 0, false
}

// uri tells whether a URI names us.
func (ns names) uri(u *wire.URI) (dialogs.Side, bool) {
	port := u.Port
	if port == 0 {
		port = defaultPort(u)
	}
	return ns.side(u.Host, port)
}

func defaultPort(u *wire.URI) int {
	if wire.EqualFold(u.Scheme, "sips") {
		return wire.TLS.DefaultPort()
	}
	named, _ := wire.Param(u.Params, "transport")
	t, _ := wire.ParseTransport(named)
	return t.DefaultPort()
}

// newLocal makes the description of a listener and the names it goes by.
func newLocal(index int, l Listener) (*local, names, error) {
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
	me.four, me.six = families(bound.Addr())
	me.record = "sip:" + me.sentBy + ";lr;rw"
	if n != wire.UDP {
		me.record = "sip:" + me.sentBy + ";transport=" + n.String() + ";lr;rw"
	}
	ns := names{{strings.ToLower(string(host)), port, l.Side}}
	for _, ip := range addresses(bound.Addr().Unmap()) {
		ns = append(ns, name{ip.String(), int(bound.Port()), l.Side})
	}
	for _, alias := range l.Aliases {
		if host, port, ok := wire.HostPort([]byte(alias)); ok {
			if port == 0 {
				port = int(bound.Port())
			}
			ns = append(ns, name{strings.ToLower(string(host)), port, l.Side})
		}
	}
	return me, ns, nil
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

func (f flow) side() dialogs.Side { return f.local.side }

// across is the other side, where a request of this flow goes.
func (f flow) across() dialogs.Side { return dialogs.Server - f.local.side }
