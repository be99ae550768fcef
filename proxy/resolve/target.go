package resolve

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Target is what of a SIP URI matters for finding its next hop. It is
// comparable, and the key of the cache.
type Target struct {
	Host      string // lower case, an IPv6 address without brackets; the maddr if there is one
	Port      uint16 // 0: none given
	Transport string // "udp", "tcp" or "tls"; empty: none given
	Secure    bool   // a sips URI
}

// Hop is one address to try.
type Hop struct {
	Transport string // "udp", "tcp" or "tls"
	Addr      netip.AddrPort
	// ServerName is the name that the certificate of a TLS peer has to carry:
	// that of the URI, not of an SRV record (RFC 5922 section 4).
	ServerName string
}

// Errors of ParseURI that a caller may want to tell apart.
var (
	ErrNotSIP    = errors.New("not a SIP URI")
	ErrTransport = errors.New("unsupported transport")
)

// ParseURI reads a SIP or SIPS URI as it may stand in a Request-URI, a Route or
// a configuration: angle brackets and what is around them, odd case, blanks and
// unknown parameters are tolerated.
func ParseURI(uri []byte) (Target, error) {
	u := bracketed(bytes.TrimSpace(uri))
	scheme, rest, ok := bytes.Cut(u, []byte(":"))
	if !ok {
		return Target{}, fmt.Errorf("%w: %q", ErrNotSIP, uri)
	}
	var t Target
	switch strings.ToLower(string(bytes.TrimSpace(scheme))) {
	case "sip":
	case "sips":
		t.Secure = true
	default:
		return Target{}, fmt.Errorf("%w: %q", ErrNotSIP, uri)
	}
	hostport, params := split(bytes.TrimPrefix(rest, []byte("//")))
	if err := t.setHostPort(hostport); err != nil {
		return Target{}, fmt.Errorf("%w in %q", err, uri)
	}
	if err := t.setParams(params); err != nil {
		return Target{}, fmt.Errorf("%w in %q", err, uri)
	}
	return t, nil
}

// bracketed gives what stands between the first "<" and the next ">", or all of u.
func bracketed(u []byte) []byte {
	u = unnamed(u)
	if i := bytes.IndexByte(u, '<'); i >= 0 {
		u = u[i+1:]
		if j := bytes.IndexByte(u, '>'); j >= 0 {
			u = u[:j]
		}
	}
	return bytes.TrimSpace(u)
}

// unnamed leaves out a quoted display name, which may contain a "<".
func unnamed(u []byte) []byte {
	if len(u) == 0 || u[0] != '"' {
		return u
	}
	for i := 1; i < len(u); i++ {
		switch u[i] {
		case '\\':
			i++
		case '"':
			return u[i+1:]
		}
	}
	return u
}

// split cuts the user and the headers off and parts host from parameters. A user
// may contain ";" and "?" (RFC 3261 25.1), so the "@" is looked for first.
func split(rest []byte) (hostport, params []byte) {
	if i := bytes.IndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if i := bytes.IndexByte(rest, '?'); i >= 0 {
		rest = rest[:i]
	}
	hostport, params, _ = bytes.Cut(rest, []byte(";"))
	return bytes.TrimSpace(hostport), params
}

func (t *Target) setHostPort(hostport []byte) error {
	host, port := hostport, []byte(nil)
	if len(host) > 0 && host[0] == '[' {
		end := bytes.IndexByte(host, ']')
		if end < 0 {
			return errors.New("no closing bracket")
		}
		host, port = hostport[1:end], bytes.TrimPrefix(bytes.TrimSpace(hostport[end+1:]), []byte(":"))
	} else {
		host, port, _ = bytes.Cut(hostport, []byte(":"))
	}
	if err := t.setHost(string(bytes.TrimSpace(host))); err != nil {
		return err
	}
	if port = bytes.TrimSpace(port); len(port) == 0 {
		return nil
	}
	n, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("bad port %q", port)
	}
	t.Port = uint16(n)
	return nil
}

// maxHost is the longest name in DNS.
const maxHost = 253

func (t *Target) setHost(host string) error {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || len(host) > maxHost || strings.ContainsAny(host, " \t\r\n\x00<>\"") {
		return fmt.Errorf("bad host %q", host)
	}
	t.Host = host
	return nil
}

func (t *Target) setParams(params []byte) error {
	for len(params) > 0 {
		var p []byte
		p, params, _ = bytes.Cut(params, []byte(";"))
		name, value, _ := bytes.Cut(p, []byte("="))
		v := strings.Trim(string(bytes.TrimSpace(value)), `"`)
		switch strings.ToLower(string(bytes.TrimSpace(name))) {
		case "transport":
			if err := t.setTransport(strings.ToLower(v)); err != nil {
				return err
			}
		case "maddr":
			if err := t.setHost(strings.Trim(v, "[]")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Target) setTransport(v string) error {
	switch v {
	case "udp", "tcp", "tls":
		t.Transport = v
	case "":
	default:
		return fmt.Errorf("%w %q", ErrTransport, v)
	}
	return nil
}

// transport is the one that the URI names, or the empty string. Over sips, TCP
// means TLS (RFC 3261 26.2.2).
func (t Target) transport() string {
	if t.Secure && (t.Transport == "tcp" || t.Transport == "") {
		return "tls"
	}
	return t.Transport
}
