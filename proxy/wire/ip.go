package wire

import (
	"bytes"
	"net/netip"
)

// IsAddress tells an IP address from a name by its look: the last label of a name is not numeric
// (RFC 1123 2.1), so what has only digits and dots is an address or nothing, as is what has a colon.
func IsAddress(host []byte) bool {
	if bytes.IndexByte(host, ':') >= 0 {
		return true
	}
	digits := false
	for _, c := range host {
		switch {
		case isDigit(c):
			digits = true
		case c != '.':
			return false
		}
	}
	return digits
}

// ParseIP reads an address; dotted quads without allocating. A zone has no meaning on another host
// and is not allowed.
func ParseIP(b []byte) (netip.Addr, bool) {
	if bytes.IndexByte(b, ':') >= 0 {
		ip, err := netip.ParseAddr(string(b))
		return ip.Unmap(), err == nil && ip.Zone() == ""
	}
	var quad [4]byte
	i, n, digits := 0, 0, 0
	for _, c := range b {
		if c == '.' {
			if digits == 0 || i == 3 {
				return netip.Addr{}, false
			}
			quad[i] = byte(n)
			i, n, digits = i+1, 0, 0
			continue
		}
		if c < '0' || c > '9' {
			return netip.Addr{}, false
		}
		n = n*10 + int(c-'0')
		if digits++; n > 255 || digits > 3 {
			return netip.Addr{}, false
		}
	}
	if i != 3 || digits == 0 {
		return netip.Addr{}, false
	}
	quad[3] = byte(n)
	return netip.AddrFrom4(quad), true
}
