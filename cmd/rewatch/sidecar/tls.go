package sidecar

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
	"rewatch/proxy/transport"
)

// certificate is a certificate with its key. It is read again when one of the files changes; if that
// fails, the old certificate stays in use.
type certificate struct {
	cfg config.TLSConfig
	log zerolog.Logger

	mu      sync.Mutex
	checked time.Time
	text    []byte // what the files held when they were looked at last
	pair    *tls.Certificate
}

// recheck is the least time between two looks at the files.
const recheck = time.Second

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) > recheck {
		c.checked = now
		if err := c.read(); err != nil && c.pair == nil {
			return nil, err
		}
	}
	return c.pair, nil
}

// read compares the contents of the files, not their times: a restored backup, or the link of a
// Kubernetes secret, may be older than the file that it replaces.
func (c *certificate) read() error {
	cert, err1 := os.ReadFile(c.cfg.Cert)
	key, err2 := os.ReadFile(c.cfg.Key)
	text := slices.Concat(cert, []byte{0}, key)
	if c.pair != nil && bytes.Equal(text, c.text) {
		return nil
	}
	c.text = text
	pair, err := tls.X509KeyPair(cert, key)
	if err = cmp.Or(err1, err2, err); err != nil {
		if c.pair != nil {
			c.log.Warn().Err(err).Msg("the changed certificate cannot be read; the one before stays in use")
		}
		return err
	}
	c.pair = &pair
	return nil
}

// strangersPause is the pause between two lines of the log about clients with a certificate for
// another name.
const strangersPause = 10 * time.Second

func serverTLS(cfg config.TLSConfig, log zerolog.Logger) *tls.Config {
	c := &certificate{cfg: cfg, log: log}
	base := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
	if cfg.CA == "" {
		return base
	}
	base.ClientAuth = tls.RequireAndVerifyClientCert
	if len(cfg.Peers) > 0 {
		rarely := log.Sample(&zerolog.BurstSampler{Burst: 1, Period: strangersPause})
		base.VerifyConnection = func(state tls.ConnectionState) error {
			err := isPeer(state, cfg.Peers)
			if err != nil {
				rarely.Warn().Err(err).Msg("TLS client refused")
			}
			return err
		}
	}
	ca := &authorities{file: cfg.CA, log: log}
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		pool, err := ca.get()
		if err != nil {
			return nil, err
		}
		per := base.Clone()
		per.GetConfigForClient = nil
		per.ClientCAs = pool
		return per, nil
	}
	return base
}

// isPeer returns an error if the certificate of a client is for none of the names. A certificate that an
// authority has signed tells who the client is, but not that it may talk to rewatch (RFC 5922 7.4).
func isPeer(state tls.ConnectionState, peers []string) error {
	if len(state.PeerCertificates) == 0 {
		return fmt.Errorf("no certificate, where REWATCH_TLS_PEERS asks for one")
	}
	names := transport.Names(state.PeerCertificates[0])
	for _, name := range names {
		if slices.ContainsFunc(peers, func(p string) bool { return strings.EqualFold(p, name) }) {
			return nil
		}
	}
	return fmt.Errorf("certificate for %q, none of which is in REWATCH_TLS_PEERS", names)
}

// clientTLS gives the TLS configuration of connections to the core: with the certificate of rewatch, and
// with REWATCH_TLS_CA as authorities, else those of the system.
func clientTLS(cfg config.TLSConfig, log zerolog.Logger) func() *tls.Config {
	own, ca := &certificate{cfg: cfg, log: log}, &authorities{file: cfg.CA, log: log}
	return func() *tls.Config {
		c := &tls.Config{MinVersion: tls.VersionTLS12}
		if cfg.CA != "" {
			pool, err := ca.get()
			if err != nil {
				pool = x509.NewCertPool() // trusts nobody; none would be those of the system
			}
			c.RootCAs = pool
		}
		if cfg.Cert != "" {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.get(nil) }
		}
		return c
	}
}

// authorities are the CA certificates in a file. The file may change, so it is read at each handshake;
// handshakes are rare. If it cannot be read, the authorities that were read last stay trusted.
type authorities struct {
	file string
	log  zerolog.Logger

	mu   sync.Mutex
	pool *x509.CertPool
}

func (a *authorities) get() (*x509.CertPool, error) {
	pool, err := config.LoadCA(a.file)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		a.pool = pool
	case a.pool != nil:
		a.log.Warn().Err(err).Msg("the changed REWATCH_TLS_CA cannot be read; the authorities of before stay in use")
		return a.pool, nil
	}
	return pool, err
}
