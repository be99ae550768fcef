package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
)

// checkTLS reads the files once, so that a wrong one stops the start and not the
// first handshake.
func checkTLS(in *inspection, c *Config) {
	const cert, key, ca = "REWATCH_TLS_CERT", "REWATCH_TLS_KEY", "REWATCH_TLS_CA"
	listens := slices.ContainsFunc(c.Proxy.Listen, func(l Listener) bool { return l.Network == "tls" })
	if c.TLS.Cert == "" && (listens || c.TLS.Key != "") {
		in.reject(cert, "the file of a certificate chain (PEM), because "+reasonForTLS(listens, key))
	}
	if c.TLS.Key == "" && (listens || c.TLS.Cert != "") {
		in.reject(key, "the file of the private key (PEM), because "+reasonForTLS(listens, cert))
	}
	in.readable(cert, c.TLS.Cert)
	in.readable(key, c.TLS.Key)
	in.readable(ca, c.TLS.CA)
	if c.TLS.Cert != "" && c.TLS.Key != "" && in.ok(cert, key) {
		if _, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key); err != nil {
			in.reject(cert, "a certificate and its key in "+key+" (PEM) that belong together ("+err.Error()+")")
		}
	}
	checkTLSPeers(in, c)
	if c.TLS.CA != "" && in.ok(ca) {
		if _, err := LoadCA(c.TLS.CA); err != nil {
			in.reject(ca, "a file of CA certificates, PEM ("+err.Error()+")")
		}
	}
}

// checkTLSPeers wants names that a certificate can have: no wildcard and no URI.
func checkTLSPeers(in *inspection, c *Config) {
	const peers = "REWATCH_TLS_PEERS"
	for i, name := range c.TLS.Peers {
		name = strings.TrimSpace(name)
		if c.TLS.Peers[i] = name; name == "" || strings.ContainsAny(name, "*:@/ ") {
			in.reject(peers, "domain names without wildcard, comma-separated, such as scscf.ims.example")
			return
		}
	}
	if len(c.TLS.Peers) > 0 && c.TLS.CA == "" {
		in.reject(peers, "nothing without REWATCH_TLS_CA, for no client shows a certificate then")
	}
}

func reasonForTLS(listens bool, other string) string {
	if listens {
		return "REWATCH_LISTEN has a tls:// listener"
	}
	return other + " is set"
}

func (in *inspection) readable(name, file string) {
	if file == "" || !in.ok(name) {
		return
	}
	f, err := os.Open(file) //nolint:gosec // The operator names the file.
	if err != nil {
		in.reject(name, "a file that can be read ("+Cause(err)+")")
		return
	}
	_ = f.Close()
}

// LoadCA reads the certificates that clients have to be signed by.
func LoadCA(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}
