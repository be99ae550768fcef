// Package netaddr reads the addresses that package net gives.
package netaddr

import (
	"net"
	"net/netip"
)

// Of gives an address and port; it is invalid if there is none. An IPv4 address is never
// mapped to IPv6.
func Of(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	var ap netip.AddrPort
	if known, ok := a.(interface{ AddrPort() netip.AddrPort }); ok { // of UDP and TCP
		ap = known.AddrPort()
	} else {
		ap, _ = netip.ParseAddrPort(a.String())
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
