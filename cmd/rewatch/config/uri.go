package config

import (
	"net/netip"
	"strings"

	"rewatch/proxy/wire"
)

const wantURI = want("a SIP URI such as sip:10.0.0.7:5060;transport=udp")

// parseURI reads a SIP URI as it is fit for a Route or a From: scheme, user,
// host, port and parameters, but no headers after a question mark.
func parseURI(s string) (URI, error) {
	text := []byte(s)
	p, ok := wire.ParseURI(text)
	u := URI{Raw: s, Scheme: strings.ToLower(string(p.Scheme)), User: string(p.User), Host: string(p.Host), Port: p.Port}
	switch {
	case !ok, u.Scheme != "sip" && u.Scheme != "sips", strings.ContainsAny(s, "?,"):
		return URI{}, wantURI
	case p.User != nil && u.User == "", !validHost(u.Host):
		return URI{}, wantURI
	}
	if named, there := wire.Param(p.Params, "transport"); there {
		t, known := wire.ParseTransport(named)
		if !known {
			return URI{}, want("a SIP URI whose transport is udp, tcp or tls")
		}
		u.Transport = t.String()
	}
	return u, nil
}

// validHost takes an address or a host name. Underscores are not allowed in a
// host name, but names in container networks have them.
func validHost(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == ""
	}
	if s == "" || len(s) > 253 {
		return false
	}
	letters := false
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			switch {
			case 'a' <= c|0x20 && c|0x20 <= 'z', c == '-', c == '_':
				letters = true
			case '0' <= c && c <= '9':
			default:
				return false
			}
		}
	}
	// Only digits and dots, yet no address: 10.0.0.300 is a slip, not a name.
	return letters
}
