package config

import (
	"context"
	"net"
	"net/netip"
)

// RouteSource is the address from which this machine sends to the core, or to any address if no core is
// given by address. It is found by connecting a UDP socket, which sends nothing.
func RouteSource(core []URI) string {
	targets := []string{"192.0.2.1", "2001:db8::1"} // RFC 5737, RFC 3849
	for _, hop := range core {
		if _, err := netip.ParseAddr(hop.Host); err == nil {
			targets = append([]string{hop.Host}, targets...)
			break
		}
	}
	var dialer net.Dialer
	for _, target := range targets {
		conn, err := dialer.DialContext(context.Background(), "udp", net.JoinHostPort(target, "9"))
		if err != nil {
			continue
		}
		local, ok := conn.LocalAddr().(*net.UDPAddr)
		_ = conn.Close()
		if ok && !local.IP.IsUnspecified() {
			return local.AddrPort().Addr().Unmap().String()
		}
	}
	return "127.0.0.1"
}
