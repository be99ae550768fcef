package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"rewatch/cmd/rewatch/budget/budgettest"
	"rewatch/proxy/transport"
)

// hello is the ClientHello of TLS 1.2, as it is sent.
func hello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	go func() {
		_ = tls.Client(near, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).HandshakeContext(t.Context()) //nolint:gosec // for its first words
	}()
	b := make([]byte, 4096)
	n, err := far.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = near.Close(), far.Close()
	return b[:n]
}

// halfCertificate is a certificate of 256 KiB, the longest that crypto/tls takes, without its
// last byte, in records.
func halfCertificate() []byte {
	const most = 1 << 18
	text := append([]byte{11, most >> 16, most >> 8 & 0xff, most & 0xff}, make([]byte, most-1)...)
	var b bytes.Buffer
	for len(text) > 0 {
		n := min(len(text), 1<<14)
		b.Write([]byte{22, 3, 3, byte(n >> 8), byte(n)})
		b.Write(text[:n])
		text = text[n:]
	}
	return b.Bytes()
}

// Whatever its peers leave half said by TLS, a set takes no more memory than is stated and than
// it counts, and gives back what it has counted.
func TestMemoryOfTLSIsBounded(t *testing.T) {
	const many, secure = 100, "10.0.0.1:5061"
	cert, _ := certificate(t)
	first, long := hello(t), halfCertificate()
	cfg := transport.StreamConfig{
		MaxStreams: many, IdleTimeout: time.Hour, WriteTimeout: time.Hour, MessageTimeout: time.Hour, MaxPartial: 2 << 20, MaxQueued: 2 << 20,
	}
	talk := func(c net.Conn, text string) {
		tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // it is not the peer's part that is tested
		_, _ = tc.Write([]byte(text))
	}
	for name, fill := range map[string]func(c net.Conn){
		"nothing":      func(net.Conn) {},
		"a hello":      func(c net.Conn) { _, _ = c.Write(first) },
		"half a hello": func(c net.Conn) { _, _ = c.Write(first[:len(first)-1]) },
		"half a certificate": func(c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = c.Write(first)
			_, _ = c.Write(long)
		},
		"a part of a certificate": func(c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			_, _ = c.Write(first)
			_, _ = c.Write(long[:19_000])
		},
		"a message":      func(c net.Conn) { talk(c, message(500)) },
		"half a message": func(c net.Conn) { talk(c, message(200_000)[:15_000]) },
		"half a record": func(c net.Conn) {
			talk(c, message(500))
			_, _ = c.Write(append([]byte{23, 3, 3, 0x40, 0}, make([]byte, 1<<14-1)...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, cfg, func(s *stage) {
				s.set.Serve(transport.Secure(s.net.Listen(secure), &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}), true, nil)
				before := budgettest.Heap()
				var peers []net.Conn
				for range many {
					c, err := s.net.Dial(context.Background(), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddrPort(secure))
					if err != nil {
						t.Fatal(err)
					}
					peers = append(peers, c)
					go fill(c)
					wait(0)
				}
				wait(time.Second)
				grown, stated, used := budgettest.Heap()-before, transport.Budget(cfg, true), s.set.Usage()
				t.Logf("%s: %d KiB each of %d, %d streams, counted %d KiB each", name, grown/many>>10, stated/many>>10, s.set.Len(), used/many>>10)
				if grown > stated || grown > used+4<<20 {
					t.Errorf("%d bytes are taken, %d are stated, %d counted", grown, stated, used)
				}
				for _, c := range peers {
					_ = c.Close()
				}
				wait(time.Second)
				if n := s.set.Usage(); n != 0 || s.set.Load().Partial != 0 {
					t.Errorf("%d bytes are counted of nothing", n)
				}
			})
		})
	}
}

// A handshake and messages pass whatever the length of a record, one after another, and a
// certificate of a usual length also where others have taken all that is shared.
func TestFrugalLetsPass(t *testing.T) {
	const secure = "10.0.0.1:5061"
	cert, _ := certificate(t)
	for range 9 { // a long chain, of some 5 KB
		cert.Certificate = append(cert.Certificate, cert.Certificate[0])
	}
	first, long := hello(t), halfCertificate()
	play(t, transport.StreamConfig{MaxPartial: 1 << 20}, func(s *stage) {
		s.set.Serve(transport.Secure(s.net.Listen(secure), &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert,
		}), true, nil)
		dial := func() net.Conn {
			c, err := s.net.Dial(context.Background(), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddrPort(secure))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		for range 50 {
			c := dial()
			go func() { _, _ = io.Copy(io.Discard, c) }()
			go func() { _, _ = c.Write(first); _, _ = c.Write(long) }()
			wait(0)
		}
		c := tls.Client(dial(), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}) //nolint:gosec // see above
		for i := range 20 {
			if _, err := c.Write([]byte(message(1000 * (i + 1)))); err != nil {
				t.Fatal(err)
			}
		}
		wait(time.Second)
		if n, _ := s.got(); n != 20 {
			t.Errorf("%d messages", n)
		}
	})
}
