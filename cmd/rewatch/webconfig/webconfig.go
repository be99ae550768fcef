// Package webconfig has a file of Prometheus's exporter-toolkit protect a server of HTTP:
// TLS, mutual TLS, basic authentication, headers and a limit of the rate.
//
// format.go reads the file, Handler judges a request, passwords.go compares a password.
// Some paths stay open for probes, which have neither a password nor a certificate; the
// toolkit cannot do that.
//
// # Why not the toolkit's package
//
// Package web of the toolkit imports html/template, which calls methods by name. A program
// with it keeps every exported method of every type: this one would have 26 MB instead of
// 17. So the format is read here. The tests have the toolkit beside them and compare what
// either takes.
package webconfig

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Check says what is wrong with a file, or with the certificates that it names.
func Check(path string) error {
	_, err := load(path)
	return err
}

// load reads a file, and tries what it names.
func load(path string) (*settings, error) {
	s, err := read(path)
	if err == nil && s.base != nil {
		_, err = s.handshake()
	}
	return s, err
}

// Secure says whether a file asks for TLS. One that cannot be read does not.
func Secure(path string) bool {
	s, err := read(path)
	return err == nil && s.base != nil
}

// Certificate is the server's own certificate in DER, as a client that can read the file
// expects it.
func Certificate(path string) ([]byte, error) {
	chain, err := Chain(path)
	if err != nil {
		return nil, err
	}
	return leaf(chain)
}

// Chain is the server's certificate with its chain (PEM), as it is now.
func Chain(path string) ([]byte, error) {
	s, err := read(path)
	if err != nil {
		return nil, err
	}
	return either(s.TLS.CertFile, s.TLS.Cert)
}

// CertificateFile names the file in which the server's certificate stands: its own, or the
// web configuration. It is empty if there is none.
func CertificateFile(path string) string {
	s, err := read(path)
	switch {
	case err != nil || s.base == nil:
		return ""
	case s.TLS.CertFile == "":
		return path
	}
	return s.TLS.CertFile
}

// File is one that protects a server. What it says is read again when it changes, but for
// whether there is TLS at all.
type File struct {
	path string
	// Refused, if set, is told of a wrong password; it may take its time.
	Refused func(*http.Request)

	mu      sync.Mutex
	stamp   stamp
	now     *settings
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
	f := &File{path: path}
	_, _, err := f.settings()
	return f, err
}

// settings is what the file says now. One that can no longer be read is an error for as
// long as it cannot: nothing is let in by what was true before.
func (f *File) settings() (*settings, *rate.Limiter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, nil, err
	}
	if now := (stamp{info.ModTime(), info.Size()}); f.now == nil || f.err != nil || now != f.stamp {
		f.stamp = now
		f.now, f.err = load(f.path)
		if f.limiter = nil; f.err == nil && f.now.Limit.Interval > 0 {
			f.limiter = rate.NewLimiter(rate.Every(f.now.Limit.Interval), max(1, f.now.Limit.Burst))
		}
	}
	return f.now, f.limiter, f.err
}

// TLS is what the server is to speak; nil: plain HTTP. A client certificate is asked for
// in the handshake and judged there if it comes; that it has to come is the matter of
// Handler, for a probe has none.
func (f *File) TLS() (*tls.Config, error) {
	s, _, err := f.settings()
	if err != nil || s.base == nil {
		return nil, err
	}
	first, err := f.handshake(nil)
	if err != nil {
		return nil, err
	}
	first.GetConfigForClient = f.handshake
	return first, nil
}

func (f *File) handshake(*tls.ClientHelloInfo) (*tls.Config, error) {
	s, _, err := f.settings()
	if err != nil {
		return nil, err
	}
	if s.base == nil {
		return nil, fmt.Errorf("%s has no certificate any more", f.path)
	}
	return s.handshake()
}

// Handler lets pass what the file lets in, and what is open to everybody.
func (f *File) Handler(next http.Handler, open func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, limiter, err := f.settings()
		if err == nil {
			s.setHeaders(w.Header())
		}
		switch {
		case open(r):
			next.ServeHTTP(w, r)
		case err != nil:
			http.Error(w, "the web configuration cannot be read", http.StatusInternalServerError)
		case limiter != nil && !limiter.Allow():
			http.Error(w, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
		case s.wantsCertificate() && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0):
			http.Error(w, "a client certificate is needed", http.StatusUnauthorized)
		case !f.admits(s, r):
			w.Header().Set("WWW-Authenticate", `Basic realm="rewatch", charset="UTF-8"`)
			http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// admits says whether a request has a right password, or needs none.
func (f *File) admits(s *settings, r *http.Request) bool {
	if len(s.Users) == 0 {
		return true
	}
	user, password, given := r.BasicAuth()
	if !given {
		return false
	}
	hash, known := s.Users[user]
	if f.known.right(user, hash, known, password) {
		return true
	}
	if f.Refused != nil {
		f.Refused(r)
	}
	return false
}
