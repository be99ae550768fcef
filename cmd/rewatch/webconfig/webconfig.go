// Package webconfig has a file of Prometheus's exporter-toolkit protect a server of HTTP:
// TLS, mutual TLS, and basic authentication. The format is that of the toolkit's package
// web, which reads it. What the toolkit cannot do is done here: some paths stay open for
// probes, which have neither a password nor a certificate.
package webconfig

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
	"golang.org/x/time/rate"
)

// Check says what is wrong with a file.
func Check(path string) error {
	if err := web.Validate(path); err != nil {
		return err
	}
	_, err := read(path)
	return err
}

// Secure says whether a file asks for TLS. One that cannot be read does not.
func Secure(path string) bool {
	c, err := read(path)
	return err == nil && c.TLSConfig.IsEnabled()
}

// Certificate is the server's own certificate in DER, as a client that can read the file
// expects it.
func Certificate(path string) ([]byte, error) {
	c, err := read(path)
	if err != nil {
		return nil, err
	}
	text := []byte(c.TLSConfig.TLSCert)
	if file := c.TLSConfig.TLSCertPath; file != "" {
		if text, err = os.ReadFile(file); err != nil { //nolint:gosec // the operator names the file
			return nil, err
		}
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no certificate (PEM)")
	}
	return block.Bytes, nil
}

// CertificateFile names the file of the server's certificate; empty if there is none.
func CertificateFile(path string) string {
	c, err := read(path)
	if err != nil {
		return ""
	}
	return c.TLSConfig.TLSCertPath
}

// read reads a file as the toolkit does.
func read(path string) (*web.Config, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	c := &web.Config{
		TLSConfig:  web.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13},
		HTTPConfig: web.HTTPConfig{HTTP2: true},
	}
	if err := yaml.UnmarshalStrict(text, c); err != nil {
		return nil, err
	}
	c.TLSConfig.SetDirectory(filepath.Dir(path))
	return c, nil
}

// File is one that protects a server. What it says is read again when it changes, but for
// whether there is TLS at all.
type File struct {
	path string
	// Refused, if set, is told of a wrong password; it may take its time.
	Refused func(*http.Request)

	mu      sync.Mutex
	stamp   stamp
	now     *web.Config
	limiter *rate.Limiter
	err     error
	known   passwords
}

type stamp struct {
	at   time.Time
	size int64
}

// Open reads a file.
func Open(path string) (*File, error) {
	if err := Check(path); err != nil {
		return nil, err
	}
	f := &File{path: path}
	_, _, err := f.config()
	return f, err
}

// config is what the file says now. One that can no longer be read is an error for as long
// as it cannot: nothing is let in by what was true before.
func (f *File) config() (*web.Config, *rate.Limiter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, nil, err
	}
	if now := (stamp{info.ModTime(), info.Size()}); f.now == nil || f.err != nil || now != f.stamp {
		f.stamp = now
		if f.err = web.Validate(f.path); f.err == nil {
			f.now, f.err = read(f.path)
		}
		if f.limiter = nil; f.err == nil && f.now.RateLimiterConfig.Interval > 0 {
			f.limiter = rate.NewLimiter(rate.Every(f.now.RateLimiterConfig.Interval), max(1, f.now.RateLimiterConfig.Burst))
		}
	}
	return f.now, f.limiter, f.err
}

// TLS is what the server is to speak; nil: plain HTTP. A client certificate is asked for
// in the handshake and judged there if it comes; that it has to come is the matter of
// Handler, for a probe has none.
func (f *File) TLS() (*tls.Config, error) {
	c, _, err := f.config()
	if err != nil || !c.TLSConfig.IsEnabled() {
		return nil, err
	}
	first, err := f.handshake()
	if err != nil {
		return nil, err
	}
	first.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.handshake() }
	return first, nil
}

func (f *File) handshake() (*tls.Config, error) {
	c, _, err := f.config()
	if err != nil {
		return nil, err
	}
	t, err := web.ConfigToTLSConfig(&c.TLSConfig)
	if err != nil {
		return nil, err
	}
	switch t.ClientAuth {
	case tls.RequireAndVerifyClientCert:
		t.ClientAuth = tls.VerifyClientCertIfGiven
	case tls.RequireAnyClientCert:
		t.ClientAuth = tls.RequestClientCert
	default:
	}
	if verify := t.VerifyPeerCertificate; verify != nil {
		// Of a session that is resumed as well.
		t.VerifyPeerCertificate, t.VerifyConnection = nil, func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return nil
			}
			certs := make([][]byte, 0, len(s.PeerCertificates))
			for _, c := range s.PeerCertificates {
				certs = append(certs, c.Raw)
			}
			return verify(certs, s.VerifiedChains)
		}
	}
	if t.NextProtos = []string{"http/1.1"}; c.HTTPConfig.HTTP2 {
		t.NextProtos = []string{"h2", "http/1.1"}
	}
	return t, nil
}

// Passwords says whether the file asks for basic authentication.
func (f *File) Passwords() bool {
	c, _, err := f.config()
	return err != nil || len(c.Users) > 0
}

// Handler lets pass what the file lets in, and what is open to everybody.
func (f *File) Handler(next http.Handler, open func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open(r) {
			next.ServeHTTP(w, r)
			return
		}
		c, limiter, err := f.config()
		switch {
		case err != nil:
			http.Error(w, "the web configuration cannot be read", http.StatusInternalServerError)
		case limiter != nil && !limiter.Allow():
			http.Error(w, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
		case wantsCertificate(c) && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0):
			http.Error(w, "a client certificate is needed", http.StatusUnauthorized)
		case !f.admits(c, r):
			w.Header().Set("WWW-Authenticate", `Basic realm="rewatch", charset="UTF-8"`)
			http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
		default:
			for name, value := range c.HTTPConfig.Header {
				w.Header().Set(name, value)
			}
			next.ServeHTTP(w, r)
		}
	})
}

func wantsCertificate(c *web.Config) bool {
	return c.TLSConfig.ClientAuth == "RequireAndVerifyClientCert" || c.TLSConfig.ClientAuth == "RequireAnyClientCert"
}

// admits says whether a request has a right password, or needs none.
func (f *File) admits(c *web.Config, r *http.Request) bool {
	if len(c.Users) == 0 {
		return true
	}
	user, password, given := r.BasicAuth()
	if !given {
		return false
	}
	hash, known := c.Users[user]
	if f.known.right(user, string(hash), known, password) {
		return true
	}
	if f.Refused != nil {
		f.Refused(r)
	}
	return false
}

// String names the file.
func (f *File) String() string { return fmt.Sprintf("web configuration %s", f.path) }
