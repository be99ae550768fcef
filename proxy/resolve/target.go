package resolve

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"rewatch/proxy/wire"
)

// Target has the parts of a SIP URI that decide its next hop. It is comparable, and the key of
// the cache.
type Target struct {
	Host      string // lower case, an address in its usual form; the maddr if there is one
	Port      uint16 // 0: none given
	Transport wire.Transport
	Secure    bool // a sips URI
}

// Hop is one place to send a request to.
type Hop struct {
	Transport wire.Transport
	// Upgraded: TCP is used only for the size of the request (RFC 3261 18.1.1), and UDP can
	// still be tried. A Resolver never sets it.
	Upgraded bool
	// Either: neither the URI nor DNS names a transport. UDP is what is usual then (RFC 3263
	// 4.1), and TCP is left to try where a datagram is refused.
	Either bool
	Addr   netip.AddrPort
	// ServerName is the name that the certificate of a TLS peer has to carry:
	// that of the URI, not of an SRV record (RFC 5922 section 4).
	ServerName string
	// Rank is for Spread.
	Rank Rank
}

// Way is one way to one peer. Two hops with the same Way are one hop: their other fields say
// how it was found, and what may be tried after it.
type Way struct {
	Transport wire.Transport
	Addr      netip.AddrPort
	// Name is the name that a TLS peer has to prove.
	Name string
}

// Way is the way to the hop.
func (h Hop) Way() Way {
	w := Way{Transport: h.Transport, Addr: h.Addr}
	if h.Transport == wire.TLS {
		w.Name = cmp.Or(h.ServerName, h.Addr.Addr().String())
	}
	return w
}

// Otherwise is the hop by TCP, which is left to try where a datagram is refused; false: it is
// no hop by UDP, or a transport is named.
func (h Hop) Otherwise() (Hop, bool) {
	ok := h.Either && h.Transport == wire.UDP
	h.Transport, h.Either = wire.TCP, false
	return h, ok
}

// Errors of ParseURI that a caller may want to tell apart.
var (
	ErrNotSIP    = errors.New("not a SIP URI")
	ErrTransport = errors.New("unsupported transport")
)

// ParseURI reads a SIP or SIPS URI as it may stand in a Request-URI, a Route or
// a configuration: in angle brackets, with what is around them, or bare.
func ParseURI(uri []byte) (Target, error) {
	text := bytes.TrimSpace(uri)
	if bytes.IndexByte(text, '<') >= 0 {
		text, _ = wire.Split(text)
		text, _, _ = wire.Address(text)
	}
	u, ok := wire.ParseURI(text)
	t := Target{Secure: wire.EqualFold(u.Scheme, "sips")}
	if !t.Secure && !wire.EqualFold(u.Scheme, "sip") {
		return Target{}, fmt.Errorf("%w: %q", ErrNotSIP, uri)
	}
	if !ok {
		return Target{}, fmt.Errorf("bad host or port in %q", uri)
	}
	t.Port = uint16(u.Port) //nolint:gosec // checked by wire.ParseURI
	if err := t.setHost(u.Host); err != nil {
		return Target{}, fmt.Errorf("%w in %q", err, uri)
	}
	if maddr, ok := wire.Param(u.Params, "maddr"); ok {
		if err := t.setHost(bytes.Trim(maddr, "[]")); err != nil {
			return Target{}, fmt.Errorf("%w in %q", err, uri)
		}
	}
	if transport, _ := wire.Param(u.Params, "transport"); len(transport) > 0 {
		if t.Transport, ok = wire.ParseTransport(transport); !ok {
			return Target{}, fmt.Errorf("%w %q in %q", ErrTransport, transport, uri)
		}
	}
	return t, nil
}

// maxHost is the longest name in DNS.
const maxHost = 253

func (t *Target) setHost(host []byte) error {
	host = bytes.TrimSuffix(host, []byte("."))
	if ip, ok := wire.ParseIP(host); ok {
		t.Host = ip.String()
		return nil
	}
	if len(host) == 0 || len(host) > maxHost || wire.IsAddress(host) {
		return fmt.Errorf("bad host %q", host)
	}
	t.Host = strings.ToLower(string(host))
	return nil
}

// transport is the one that the URI names, if any. Over sips, TCP means TLS (RFC
// 3261 26.2.2).
func (t Target) transport() wire.Transport {
	if t.Secure && t.Transport != wire.UDP {
		return wire.TLS
	}
	return t.Transport
}
