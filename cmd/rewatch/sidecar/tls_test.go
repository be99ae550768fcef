package sidecar

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
)

// issue writes a certificate for some names, which is its own authority, and its key.
func issue(t *testing.T, cert, key string, serial int64, names ...string) {
	t.Helper()
	issueFor(t, cert, key, serial, [2]time.Duration{-time.Hour, time.Hour}, names...)
}

// issueFor is issue for a time of life, from now on.
func issueFor(t *testing.T, cert, key string, serial int64, life [2]time.Duration, names ...string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(life[0]), NotAfter: time.Now().Add(life[1]),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	for _, name := range names {
		if u, err := url.Parse(name); err == nil && u.Scheme == "sip" {
			template.URIs = append(template.URIs, u)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func serialOf(t *testing.T, c *certificate) int64 {
	t.Helper()
	c.checked = time.Time{}
	pair, err := c.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.SerialNumber.Int64()
}

// TestCertificateIsReadAgain, also where the new files are older than those before, and
// not while only one of them is there.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	c := &certificate{cfg: config.TLSConfig{Cert: cert, Key: key}, log: zerolog.Nop()}
	if _, err := c.get(nil); err == nil {
		t.Error("a certificate out of nothing")
	}
	issue(t, cert, key, 1)
	if n := serialOf(t, c); n != 1 {
		t.Error(n)
	}
	issue(t, cert, key, 2)
	old := time.Now().Add(-24 * time.Hour)
	for _, file := range []string{cert, key} {
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if n := serialOf(t, c); n != 2 {
		t.Error("the older files are not read: ", n)
	}
	issue(t, cert, filepath.Join(dir, "other.key"), 3)
	if n := serialOf(t, c); n != 2 {
		t.Error("a pair that does not belong together is used: ", n)
	}
	if err := os.Rename(filepath.Join(dir, "other.key"), key); err != nil {
		t.Fatal(err)
	}
	if n := serialOf(t, c); n != 3 {
		t.Error(n)
	}
}

// TestTLSPeers: a certificate of the authority alone lets nobody in where names are asked
// for; sip URIs count before DNS names, and a wildcard for nothing. Its time has to have come, and
// not to be over, whoever it is for.
func TestTLSPeers(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	issue(t, cert, key, 1, "rewatch.example")
	always, expired, early := [2]time.Duration{-time.Hour, time.Hour}, [2]time.Duration{-2 * time.Hour, -time.Minute}, [2]time.Duration{time.Minute, time.Hour}
	for _, c := range []struct {
		name  string
		peers []string
		names []string
		in    bool
		life  [2]time.Duration // of the certificate, from now on
	}{
		{"anybody", nil, []string{"other.example"}, true, always},
		{"by DNS name", []string{"scscf.ims.example"}, []string{"x.example", "SCSCF.ims.example"}, true, always},
		{"by sip URI", []string{"SCSCF.ims.example"}, []string{"sip:scscf.ims.example"}, true, always},
		{"another name", []string{"scscf.ims.example"}, []string{"other.example"}, false, always},
		{"DNS name beside a sip URI", []string{"scscf.ims.example"}, []string{"sip:other.example", "scscf.ims.example"}, false, always},
		{"a wildcard", []string{"scscf.ims.example"}, []string{"*.ims.example"}, false, always},
		{"a user", []string{"scscf.ims.example"}, []string{"sip:alice@scscf.ims.example"}, false, always},
		{"no name", []string{"scscf.ims.example"}, nil, false, always},
		{"anybody, expired", nil, []string{"other.example"}, false, expired},
		{"anybody, not valid yet", nil, []string{"other.example"}, false, early},
		{"by DNS name, expired", []string{"scscf.ims.example"}, []string{"scscf.ims.example"}, false, expired},
		{"by DNS name, not valid yet", []string{"scscf.ims.example"}, []string{"scscf.ims.example"}, false, early},
		{"by sip URI, expired", []string{"scscf.ims.example"}, []string{"sip:scscf.ims.example"}, false, expired},
	} {
		t.Run(c.name, func(t *testing.T) {
			theirs, theirKey := filepath.Join(dir, "peer.crt"), filepath.Join(dir, "peer.key")
			issueFor(t, theirs, theirKey, 2, c.life, c.names...)
			pair, err := tls.LoadX509KeyPair(theirs, theirKey)
			if err != nil {
				t.Fatal(err)
			}
			cfg := config.TLSConfig{Cert: cert, Key: key, CA: theirs, Peers: c.peers}
			theirsTLS := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}} //nolint:gosec // only the server checks here
			err = handshake(t, serverTLS(cfg, zerolog.Nop()), theirsTLS, false)
			if (err == nil) != c.in {
				t.Errorf("let in: %t, %v", err == nil, err)
			}
		})
	}
}

// TestAuthorityIsReadAgain: whom both sides trust is what REWATCH_TLS_CA holds at each
// handshake, an older file included, and what it held before while it holds nothing of use.
func TestAuthorityIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for i, name := range []string{"own", "first", "second"} {
		issue(t, file(name+".crt"), file(name+".key"), int64(i+1), "core.example")
	}
	cfg := config.TLSConfig{Cert: file("own.crt"), Key: file("own.key"), CA: file("ca")}
	accept, connect := serverTLS(cfg, zerolog.Nop()), clientTLS(cfg, zerolog.Nop())
	trust := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(cfg.CA, text, 0o600); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-24 * time.Hour)
		if err := os.Chtimes(cfg.CA, old, old); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, step := range []struct {
		what    string
		ca      []byte
		trusted string
	}{
		{"as it was at the start", read("first.crt"), "first"},
		{"replaced", read("second.crt"), "second"},
		{"of no use", []byte("half a fi"), "second"},
		{"put back", read("first.crt"), "first"},
	} {
		trust(step.ca)
		for _, peer := range []string{"first", "second"} {
			pair, err := tls.LoadX509KeyPair(file(peer+".crt"), file(peer+".key"))
			if err != nil {
				t.Fatal(err)
			}
			theirs := &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true} //nolint:gosec // only rewatch checks here
			ours := connect()
			ours.ServerName = "core.example"
			for side, err := range map[string]error{
				"accepted": handshake(t, accept, theirs, false),
				"dialled":  handshake(t, theirs, ours, true),
			} {
				if (err == nil) != (peer == step.trusted) {
					t.Errorf("%s: the %s authority's peer, %s: %v", step.what, peer, side, err)
				}
			}
		}
	}
}

// handshake gives what one end of a connection says of the other.
func handshake(t *testing.T, server, client *tls.Config, asClient bool) error {
	t.Helper()
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	ends := map[bool]*tls.Conn{false: tls.Server(near, server), true: tls.Client(far, client)}
	go func() {
		if other := ends[!asClient]; other.HandshakeContext(t.Context()) == nil {
			_, _ = other.Read(make([]byte, 1)) // of TLS 1.3 this is where a client hears that it is refused
		}
	}()
	return ends[asClient].HandshakeContext(t.Context())
}
