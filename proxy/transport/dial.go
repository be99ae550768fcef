package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// To gives the stream to a peer, and dials one if there is none. A dial that fails ends in
// Handler.Closed. It is nil when there is no room for another stream. With TLS the certificate of
// the peer has to be for serverName, or for its address if that is empty: a stream that was
// dialled for another name is not used, nor one that was accepted from a peer without such a
// certificate (RFC 5922, RFC 5923).
func (t *Streams) To(addr netip.AddrPort, secure bool, serverName string) *Stream {
	return t.ToFrom(netip.Addr{}, addr, secure, serverName)
}

// ToFrom is To by a stream that is dialled from one address of ours. If that is invalid it is
// dialled from the first one of the peer's family.
func (t *Streams) ToFrom(own netip.Addr, addr netip.AddrPort, secure bool, serverName string) *Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := keyOf(addr, secure, serverName)
	key.own = own
	if s := t.usable(key); s != nil {
		return s
	}
	if t.closed || t.dialled >= t.cfg.MaxStreams {
		return nil
	}
	return t.open(t.enter(key))
}

// Stands tells whether there is a stream to a peer that To would give, and it is connected.
func (t *Streams) Stands(addr netip.AddrPort, secure bool, serverName string) bool {
	t.mu.Lock()
	s := t.usable(keyOf(addr, secure, serverName))
	t.mu.Unlock()
	return s != nil && s.Own().IsValid()
}

// usable is the stream of a key that may be used, nil if there is none. The caller holds the
// lock.
func (t *Streams) usable(key peerKey) *Stream {
	if s := t.byPeer[key]; s != nil && !s.gone.Load() {
		return s
	}
	if key.secure && !key.own.IsValid() {
		if s := t.byPeer[peerKey{addr: key.addr, secure: true, accepted: true}]; s != nil && !s.gone.Load() && proves(s.leaf, key.name) {
			return s
		}
	}
	return nil
}

// aloneFor is how long a stream for one request waits for its response.
const aloneFor = 4 * time.Second

// Alone dials a stream for one request, such as an OPTIONS that asks whether the peer is there:
// the shared stream may be stuck. No other request uses it, and it is closed after aloneFor.
func (t *Streams) Alone(addr netip.AddrPort, secure bool, serverName string) *Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.dialled >= t.cfg.MaxStreams {
		return nil
	}
	s := t.make(keyOf(addr, secure, serverName))
	s.alone = true
	return t.open(s)
}

func keyOf(addr netip.AddrPort, secure bool, serverName string) peerKey {
	if !secure {
		return peerKey{addr: addr}
	}
	return peerKey{addr: addr, secure: true, name: strings.ToLower(cmp.Or(serverName, addr.Addr().String()))}
}

// open dials a stream. The caller holds the lock.
func (t *Streams) open(s *Stream) *Stream {
	s.Dialled = true
	t.dialled++
	t.run(s, func(ctx context.Context) (net.Conn, error) { return t.dial(ctx, s.key) })
	return s
}

func (t *Streams) dial(ctx context.Context, to peerKey) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.DialTimeout)
	defer cancel()
	conn, err := t.connect(ctx, to)
	if err != nil || !to.secure {
		return conn, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.cfg.ClientTLS != nil {
		cfg = t.cfg.ClientTLS()
	}
	cfg.ServerName = cmp.Or(cfg.ServerName, to.name)
	cfg.InsecureSkipVerify = true // authentic verifies: Go would take wildcards, and no sip URI
	cfg.VerifyConnection = func(state tls.ConnectionState) error { return authentic(state, cfg.RootCAs, cfg.ServerName) }
	below := &frugal{Conn: conn, set: t}
	secured := tls.Client(below, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		below.said()
		return nil, err
	}
	return secured, nil
}

// connect opens a connection from the address of ours that the peer's family has.
func (t *Streams) connect(ctx context.Context, to peerKey) (net.Conn, error) {
	if t.cfg.Dial != nil {
		return t.cfg.Dial(ctx, to.addr)
	}
	d := net.Dialer{}
	ips := t.cfg.LocalIPs
	if to.secure {
		ips = t.cfg.LocalTLS
	}
	if to.own.IsValid() {
		ips = []netip.Addr{to.own}
	}
	for _, ip := range ips {
		if ip.Is4() == to.addr.Addr().Is4() {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
			break
		}
	}
	conn, err := d.DialContext(ctx, "tcp", to.addr.String())
	if errors.Is(err, syscall.EADDRNOTAVAIL) && d.LocalAddr != nil && !to.own.IsValid() {
		d.LocalAddr = nil // a virtual address that another host has at the moment
		return d.DialContext(ctx, "tcp", to.addr.String())
	}
	return conn, err
}

// authentic verifies the certificates of a peer that we have dialled: the authority, the time, and
// the name by the same rule as for one that has dialled us.
func authentic(state tls.ConnectionState, roots *x509.CertPool, name string) error {
	leaf, between := state.PeerCertificates[0], x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return err
	}
	if !proves(leaf, name) {
		return fmt.Errorf("certificate for %q, not for %s (RFC 5922)", Names(leaf), name)
	}
	return nil
}

// Names are the SIP domains of a certificate, in lower case: the domains of its sip URIs, or if it
// has none its DNS names (RFC 5922 7.1). Wildcards are ignored (RFC 5922 7.2).
func Names(cert *x509.Certificate) (names []string) {
	for _, uri := range cert.URIs {
		if strings.EqualFold(uri.Scheme, "sip") && uri.Opaque != "" && !strings.Contains(uri.Opaque, "@") {
			names = append(names, strings.ToLower(uri.Opaque))
		}
	}
	if len(names) > 0 {
		return names
	}
	for _, name := range cert.DNSNames {
		if !strings.Contains(name, "*") {
			names = append(names, strings.ToLower(name))
		}
	}
	return names
}

// proves tells whether a verified certificate is for a name or address.
func proves(leaf *x509.Certificate, name string) bool {
	if leaf == nil {
		return false
	}
	if slices.Contains(Names(leaf), name) {
		return true
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	for _, have := range leaf.IPAddresses {
		if a, ok := netip.AddrFromSlice(have); ok && a.Unmap() == ip {
			return true
		}
	}
	return false
}

// verified is the certificate of a peer, if it was verified; nil if there is none.
func verified(conn net.Conn) *x509.Certificate {
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	if state := secured.ConnectionState(); len(state.VerifiedChains) > 0 {
		return state.PeerCertificates[0]
	}
	return nil
}
