package transport_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// certificate makes one for 127.0.0.1 and core.example, that is its own authority.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	return certificateFor(t, func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{"core.example"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	})
}

// certificateFor makes one that is its own authority.
func certificateFor(t *testing.T, with func(*x509.Certificate)) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	with(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// waiting is a handler for real sockets.
type waiting struct {
	messages chan string
	closed   chan error
	echo     bool
}

func newWaiting(echo bool) *waiting {
	return &waiting{messages: make(chan string, 10), closed: make(chan error, 10), echo: echo}
}

func (h *waiting) Message(s *transport.Stream, raw []byte) {
	h.messages <- string(raw)
	if h.echo {
		_ = s.Write(raw)
	}
}

func (h *waiting) Unreadable(*transport.Stream, []byte, error) {}

func (h *waiting) Closed(_ *transport.Stream, err error) { h.closed <- err }

// TestTLS speaks with itself over loopback: by name, by address, and not with one
// whose certificate names somebody else.
func TestTLS(t *testing.T) {
	cert, pool := certificate(t)
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	far := newWaiting(true)
	server := transport.NewStreams(transport.StreamConfig{Frame: wire.FrameFrom}, far)
	defer server.Shutdown()
	server.Serve(tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}), true, nil)
	addr := netip.MustParseAddrPort(l.Addr().String())
	for _, c := range []struct {
		name string
		good bool
	}{{"core.example", true}, {"", true}, {"other.example", false}} {
		near := newWaiting(false)
		client := transport.NewStreams(transport.StreamConfig{
			Frame: wire.FrameFrom, ClientTLS: func() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool} },
			LocalTLS: []netip.Addr{netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")},
		}, near)
		s := client.To(addr, true, c.name)
		if err := s.Write([]byte(message(3000))); err != nil && c.good {
			t.Fatal(err)
		}
		select {
		case got := <-near.messages:
			if !c.good || got != message(3000) || got != <-far.messages {
				t.Errorf("%q: %d bytes", c.name, len(got))
			}
		case err := <-near.closed:
			if c.good {
				t.Errorf("%q: %v", c.name, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing happens")
		}
		client.Shutdown()
		if <-far.closed == nil {
			t.Error("closed for no reason")
		}
	}
}

// TestDialledName: the certificate of a peer that was dialled is for a name by the rules of RFC
// 5922 7: sip URIs count before DNS names, wildcards for nothing, and it is valid now.
func TestDialledName(t *testing.T) {
	for what, c := range map[string]struct {
		dns, uris []string
		expired   bool
		want      bool
	}{
		"DNS name":                      {dns: []string{"CORE.example"}, want: true},
		"sip URI":                       {uris: []string{"sip:core.example"}, want: true},
		"sip URI of another":            {dns: []string{"core.example"}, uris: []string{"sip:other.example"}},
		"other URI beside the DNS name": {dns: []string{"core.example"}, uris: []string{"https://other.example"}, want: true},
		"user":                          {uris: []string{"sip:alice@core.example"}},
		"wildcard":                      {dns: []string{"*.example"}},
		"no name":                       {},
		"expired":                       {dns: []string{"core.example"}, expired: true},
	} {
		cert, pool := certificateFor(t, func(c509 *x509.Certificate) {
			c509.DNSNames, c509.Subject.CommonName = c.dns, "core.example"
			for _, u := range c.uris {
				parsed, err := url.Parse(u)
				if err != nil {
					t.Fatal(err)
				}
				c509.URIs = append(c509.URIs, parsed)
			}
			if c.expired {
				c509.NotAfter = time.Now().Add(-time.Minute)
			}
		})
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		far, near := newWaiting(true), newWaiting(false)
		server := transport.NewStreams(transport.StreamConfig{Frame: wire.FrameFrom}, far)
		server.Serve(tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}), true, nil)
		client := transport.NewStreams(transport.StreamConfig{
			Frame: wire.FrameFrom, ClientTLS: func() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool} },
		}, near)
		if err := client.To(netip.MustParseAddrPort(l.Addr().String()), true, "Core.example").Write([]byte(message(100))); err != nil {
			t.Fatal(err)
		}
		select {
		case <-near.messages:
			if !c.want {
				t.Error(what, ": it is trusted")
			}
		case err := <-near.closed:
			if c.want {
				t.Error(what, ": ", err)
			}
		}
		client.Shutdown()
		server.Shutdown()
	}
}

// TestTLSHandshakeWithoutEnd closes a connection whose handshake does not come to
// an end, however it goes on.
func TestTLSHandshakeWithoutEnd(t *testing.T) {
	cert, _ := certificate(t)
	for name, parts := range map[string][]string{
		"silent":        nil,
		"byte by byte":  strings.Split("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+strings.Repeat("x", 100), ""),
		"no handshake":  {"MESSAGE sip:a@b SIP/2.0\r\n\r\n"},
		"a half record": {"\x16\x03\x01\x02\x00\x01\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, transport.StreamConfig{MessageTimeout: 20 * time.Second}, func(s *stage) {
				const secure = "10.0.0.1:5061"
				s.set.Serve(tls.NewListener(s.net.Listen(secure), &tls.Config{
					MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert},
				}), true, "tls")
				c, err := s.net.Dial(context.Background(), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddrPort(secure))
				if err != nil {
					s.Fatal(err)
				}
				start := time.Now()
				go func() { _, _ = io.Copy(io.Discard, c) }()
				for _, p := range parts {
					write(c, p)
					wait(time.Second)
				}
				wait(20*time.Second + time.Millisecond - min(time.Since(start), 20*time.Second))
				if _, n := s.got(); n != 1 || s.set.Len() != 0 {
					s.Error("not closed")
				}
			})
		})
	}
}

// TestAcceptedByName: a stream that was accepted by TLS carries requests to the names that
// its peer has proved, and to no others; one that was dialled for a name to that name.
func TestAcceptedByName(t *testing.T) {
	cert, pool := certificate(t)
	for _, shows := range []bool{true, false} {
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		h := newWaiting(false)
		set := transport.NewStreams(transport.StreamConfig{Frame: wire.FrameFrom}, h)
		set.Serve(tls.NewListener(l, &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool,
		}), true, nil)
		cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "core.example"}
		if shows {
			cfg.Certificates = []tls.Certificate{cert}
		}
		c, err := (&tls.Dialer{Config: cfg}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(message(100))); err != nil {
			t.Fatal(err)
		}
		<-h.messages
		peer := netip.MustParseAddrPort(c.LocalAddr().String())
		for name, proved := range map[string]bool{"core.example": true, "CORE.example": true, "": true, "other.example": false} {
			if s := set.To(peer, true, name); s == nil || s.Dialled == (proved && shows) {
				t.Errorf("certificate shown %t: the stream for %q is dialled: %t", shows, name, s == nil || s.Dialled)
			}
		}
		if set.To(peer, false, "core.example").Secure {
			t.Error("TLS where TCP was asked for")
		}
		_ = c.Close()
		set.Shutdown()
	}
}
