package config

import (
	"net/netip"
	"strconv"
	"strings"
)

const wantURI = want("a SIP URI such as sip:10.0.0.7:5060;transport=udp")

// parseURI reads a SIP URI as it is fit for a Route or a From: scheme, user,
// host, port and parameters, but no headers after a question mark.
func parseURI(s string) (URI, error) {
	u := URI{Raw: s}
	scheme, rest, ok := strings.Cut(s, ":")
	u.Scheme = strings.ToLower(scheme)
	if !ok || (u.Scheme != "sip" && u.Scheme != "sips") || strings.ContainsAny(s, " \t\r\n<>\"?,") {
		return URI{}, wantURI
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		u.User, rest = rest[:i], rest[i+1:]
		if u.User == "" {
			return URI{}, wantURI
		}
	}
	address, params, _ := strings.Cut(rest, ";")
	if u.Host, u.Port, ok = uriHostPort(address); !ok {
		return URI{}, wantURI
	}
	if u.Transport, ok = transportParam(params); !ok {
		return URI{}, want("a SIP URI whose transport is udp, tcp or tls")
	}
	return u, nil
}

// uriHostPort splits the host from its port; the port may be left out, the host
// may not, and an IPv6 address stands in brackets.
func uriHostPort(s string) (string, int, bool) {
	host, rest := s, ""
	if inner, ok := strings.CutPrefix(s, "["); ok {
		end := strings.IndexByte(inner, ']')
		if end < 0 || !strings.Contains(inner[:end], ":") {
			return "", 0, false
		}
		host, rest = inner[:end], inner[end+1:]
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, rest = s[:i], s[i:]
	}
	if !validHost(host) {
		return "", 0, false
	}
	if rest == "" {
		return host, 0, true
	}
	text, ok := strings.CutPrefix(rest, ":")
	port, err := strconv.ParseUint(text, 10, 16)
	return host, int(port), ok && err == nil && port > 0
}

// transportParam finds the transport among the parameters of a URI.
func transportParam(params string) (string, bool) {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if !strings.EqualFold(name, "transport") {
			continue
		}
		value = strings.ToLower(value)
		return value, value == "udp" || value == "tcp" || value == "tls"
	}
	return "", true
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
