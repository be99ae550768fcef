//go:build integration

package integration

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// An authority signs certificates.
type authority struct {
	s    *site
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func (s *site) newAuthority() *authority {
	s.t.Helper()
	a := &authority{s: s}
	_, der, key := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.key = key
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// sign makes a certificate, which is its own authority if there is none yet.
func (a *authority) sign(c *x509.Certificate) (tls.Certificate, []byte, *ecdsa.PrivateKey) {
	a.s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.s.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		a.s.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, der, key
}

// files has rewatch's own certificate, its key and the authority in files.
func (a *authority) files(c *x509.Certificate) (cert, key, ca string) {
	a.s.t.Helper()
	_, der, private := a.sign(c)
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		a.s.t.Fatal(err)
	}
	file := func(name, kind string, b []byte) string {
		return a.s.write(name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})))
	}
	return file("cert.pem", "CERTIFICATE", der), file("key.pem", "EC PRIVATE KEY", raw), file("ca.pem", "CERTIFICATE", a.cert.Raw)
}

// masks are neighbours whose certificate says another name than that of a peer.
type masks struct{ ca, foreign *authority }

func (a *masks) settings(s *site) env {
	a.ca, a.foreign = s.newAuthority(), s.newAuthority()
	cert, key, ca := a.ca.files(&x509.Certificate{IPAddresses: []net.IP{net.ParseIP(s.ip(30))}, DNSNames: []string{"rewatch.ims.example"}})
	return env{
		"REWATCH_LISTEN":   fmt.Sprintf("udp://%[1]s:5060,tcp://%[1]s:5060,tls://%[1]s:5061", s.ip(30)),
		"REWATCH_TLS_CERT": cert, "REWATCH_TLS_KEY": key, "REWATCH_TLS_CA": ca, "REWATCH_TLS_PEERS": "core.ims.example,edge.ims.example",
	}
}

// dial shows a certificate, from a port of the neighbour's address.
func (a *masks) dial(b *bystanders, port int, certs ...tls.Certificate) (*tls.Conn, error) {
	b.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.ca.cert)
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(b.s.ip(60)), Port: port}}
	conn, err := tls.DialWithDialer(&d, "tcp", b.s.ip(30)+":5061", &tls.Config{RootCAs: pool, Certificates: certs, MinVersion: tls.VersionTLS12})
	if err == nil {
		b.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(patience))
	}
	return conn, err
}

// halves leaves connections with most of a certificate of 256 KiB, the longest that crypto/tls
// takes: it would keep each of them in half a megabyte.
func (a *masks) halves(b *bystanders) {
	near, far := net.Pipe()
	go func() {
		_ = tls.Client(near, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).Handshake() //nolint:gosec // for its first words
	}()
	hello := make([]byte, 4096)
	n, err := far.Read(hello)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = near.Close(), far.Close()
	before, _ := b.r.memory()
	var conns []net.Conn
	for range 300 {
		conn, err := net.DialTimeout("tcp", b.s.ip(30)+":5061", patience)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		conns = append(conns, conn)
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write(hello[:n])
		for i := range 15 { // of records of 16 KiB
			record := append([]byte{22, 3, 3, 0x40, 0}, make([]byte, 1<<14)...)
			if i == 0 {
				copy(record[5:], []byte{11, 4, 0, 0})
			}
			if _, err := conn.Write(record); err != nil {
				break
			}
		}
	}
	for _, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			b.Fatal("half a certificate is kept")
		}
	}
	if after, _ := b.r.memory(); !raceEnabled && after-before > 80<<20 {
		b.Fatalf("%d MiB for half certificates", (after-before)>>20)
	}
}

func (a *masks) attack(b *bystanders, round int) {
	if round == 0 {
		a.halves(b)
	}
	sign := func(by *authority, c *x509.Certificate) []tls.Certificate {
		cert, _, _ := by.sign(c)
		return []tls.Certificate{cert}
	}
	uri := []*url.URL{{Scheme: "sip", Opaque: "other.example"}}
	for name, shown := range map[string][]tls.Certificate{
		"nothing":                    nil,
		"another name":               sign(a.ca, &x509.Certificate{DNSNames: []string{"other.example"}}),
		"a longer name":              sign(a.ca, &x509.Certificate{DNSNames: []string{"x.core.ims.example", "core.ims.example.evil.example"}}),
		"a wildcard":                 sign(a.ca, &x509.Certificate{DNSNames: []string{"*.ims.example"}}),
		"a common name":              sign(a.ca, &x509.Certificate{Subject: pkix.Name{CommonName: "core.ims.example"}}),
		"the URI of another":         sign(a.ca, &x509.Certificate{DNSNames: []string{"core.ims.example"}, URIs: uri}),
		"the name, by another":       sign(a.foreign, &x509.Certificate{DNSNames: []string{"core.ims.example"}}),
		"the name, by itself":        sign(&authority{s: b.s}, &x509.Certificate{DNSNames: []string{"core.ims.example"}}),
		"the name, not for a client": sign(a.ca, &x509.Certificate{DNSNames: []string{"core.ims.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}),
	} {
		conn, err := a.dial(b, 0, shown...)
		if err != nil {
			continue
		}
		d := b.honest[round%manyHonest]
		_, _ = conn.Write(b.c.request("tls", "SUBSCRIBE", d.target, "", append(d.lines("SUBSCRIBE", 99), "Expires: 0", "Contact: <sip:x@"+b.s.ip(60)+">")...))
		if line, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
			b.Fatalf("round %d: who shows %s is answered %q", round, name, line)
		}
	}
}

// judge: a connection that was accepted by TLS gets the requests to the names that it has proved,
// and no others.
func (a *masks) judge(b *bystanders) {
	for i, proves := range []bool{false, true} {
		c := &x509.Certificate{DNSNames: []string{"edge.ims.example"}}
		if proves {
			c.IPAddresses = []net.IP{net.ParseIP(b.s.ip(60))}
		}
		cert, _, _ := a.ca.sign(c)
		port := 5070 + i
		conn, err := a.dial(b, port, cert)
		if err != nil {
			b.Fatal(err)
		}
		callID := token("tls")
		_, err = fmt.Fprintf(conn, "SUBSCRIBE sip:bob@ims.example SIP/2.0\r\nVia: SIP/2.0/TLS %[1]s;branch=z9hG4bK%[2]s\r\nMax-Forwards: 70\r\n"+
			"From: <sip:mallory@ims.example>;tag=m\r\nTo: <sip:bob@ims.example>\r\nCall-ID: %[2]s\r\nCSeq: 1 SUBSCRIBE\r\nEvent: presence\r\nExpires: 600\r\n"+
			"Contact: <sip:mallory@%[1]s;transport=tls>\r\nRecord-Route: <sip:%[1]s;transport=tls;lr>\r\nP-Asserted-Identity: <sip:mallory@ims.example>\r\n"+
			"Content-Length: 0\r\n\r\n", fmt.Sprint(b.s.ip(60), ":", port), callID)
		if err != nil {
			b.Fatal(err)
		}
		r := bufio.NewReader(conn)
		if raw, err := readMessage(r); err != nil || !strings.HasPrefix(string(raw), "SIP/2.0 200") {
			b.Fatalf("SUBSCRIBE of a peer: %q, %v", raw, err)
		}
		got := make(chan bool, 1)
		go func() {
			raw, err := readMessage(r)
			if err == nil {
				_, _ = conn.Write(response(parse(raw), 200, "OK"))
			}
			got <- err == nil
		}()
		resp := b.n.notify(b.n.dialog(callID), patience)
		_ = conn.Close()
		if came := <-got; came != proves || resp == nil || (resp.status == 200) != proves {
			b.Errorf("its certificate proves the name %t: it has got the NOTIFY %t, and the server %v", proves, came, resp)
		}
	}
}
