package wire

import (
	"bytes"
	"net/netip"
)

// IsAddress tells an IP address from a name by its look, without allocating.
func IsAddress(host []byte) bool {
	if bytes.IndexByte(host, ':') >= 0 {
		return true
	}
	dots := 0
	for _, c := range host {
		switch {
		case c == '.':
			dots++
		case c < '0' || c > '9':
			return false
		}
	}
	return dots == 3
}

// ParseIP reads an address; dotted quads without allocating.
func ParseIP(b []byte) (netip.Addr, bool) {
	if bytes.IndexByte(b, ':') >= 0 {
		ip, err := netip.ParseAddr(string(b))
		return ip.Unmap(), err == nil
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
