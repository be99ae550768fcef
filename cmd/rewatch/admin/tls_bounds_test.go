package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/budget/budgettest"
	"rewatch/cmd/rewatch/config"
	"rewatch/cmd/rewatch/webconfig"
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

// part is the beginning, n bytes, of a certificate of 256 KiB, the longest that crypto/tls takes.
func part(n int) []byte {
	text := append([]byte{11, 4, 0, 0}, make([]byte, n-4)...)
	var b bytes.Buffer
	for len(text) > 0 {
		n := min(len(text), 1<<14)
		b.Write([]byte{22, 3, 3, byte(n >> 8), byte(n)})
		b.Write(text[:n])
		text = text[n:]
	}
	return b.Bytes()
}

// secureAdmin runs an admin server by TLS in front of a listener.
func secureAdmin(t *testing.T, l net.Listener) *Admin {
	t.Helper()
	dir := t.TempDir()
	certificate(t, dir, "server")
	path := filepath.Join(dir, "web.yml")
	write(t, path, "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n")
	file, err := webconfig.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	a := New(config.AdminConfig{}, &fakeBackend{}, fakeMetrics(), zerolog.Nop())
	a.Protect(file)
	if l, err = file.Listen(l); err != nil {
		t.Fatal(err)
	}
	go func() { _ = a.server.Serve(l) }()
	return a
}

// Whatever its readers leave half said by TLS, the admin server takes no more memory for them than is
// stated.
func TestMemoryOfTLSIsBounded(t *testing.T) {
	const many = 64
	first := hello(t)
	raw := func(texts ...[]byte) func(net.Conn) {
		return func(c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for _, text := range texts {
				_, _ = c.Write(text)
			}
		}
	}
	talk := func(c net.Conn, protocol string, texts ...string) {
		tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}) //nolint:gosec // it is not the peer's part that is tested
		for i, text := range texts {
			_, _ = tc.Write([]byte(text))
			if i == 0 {
				go func() { _, _ = io.Copy(io.Discard, tc) }()
			}
		}
	}
	long := strings.Repeat("x", 15_000)
	for name, fill := range map[string]func(c net.Conn){
		"half a hello":            raw(first[:len(first)-1]),
		"half a certificate":      raw(first, part(1<<18-1)),
		"a part of a certificate": raw(first, part(19_000)),
		"half a head":             func(c net.Conn) { talk(c, "http/1.1", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "+long) },
		"half a body": func(c net.Conn) {
			talk(c, "http/1.1", "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\nX: "+long+"\r\n\r\n", long)
		},
		"half a frame of HTTP/2": func(c net.Conn) {
			talk(c, "h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x0f\xff\xff\x00\x00\x00\x00\x00\x01", long)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := make(pipes)
				a := secureAdmin(t, l)
				before := budgettest.Heap()
				var peers []net.Conn
				for range many {
					peer, server := net.Pipe()
					l <- server
					peers = append(peers, peer)
					go fill(peer)
					synctest.Wait()
				}
				const aside = maxUnread + maxAnswers*(8*maxAnswer+copied)
				grown, stated := budgettest.Heap()-before, (Budget(true)-aside)*many/maxConns
				t.Logf("%d KiB each of %d", grown/many>>10, stated/many>>10)
				if grown > stated {
					t.Errorf("%d bytes are taken, %d are stated", grown, stated)
				}
				for _, c := range peers {
					_ = c.Close()
				}
				close(l)
				_ = a.server.Close()
				time.Sleep(time.Minute)
			})
		})
	}
}

// One connection carries any number of requests, of any length that is answered.
func TestTLSLetsPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := make(pipes)
		a := secureAdmin(t, l)
		peer, server := net.Pipe()
		l <- server
		visitor := &http.Client{Transport: &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return tls.Client(peer, &tls.Config{InsecureSkipVerify: true}), nil //nolint:gosec // see above
		}}}
		for range 50 {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost/healthz", strings.NewReader(strings.Repeat("x", 4<<10)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X", strings.Repeat("x", 16<<10-500))
			resp, err := visitor.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		visitor.CloseIdleConnections()
		close(l)
		_ = a.server.Close()
		time.Sleep(time.Minute)
	})
}
