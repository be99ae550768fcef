// Package webconfig protects an HTTP server as a file in the format of Prometheus's
// exporter-toolkit says: TLS, mutual TLS, basic authentication, headers and a rate limit.
//
// format.go reads the file, Handler checks a request, passwords.go compares a password. Some
// paths stay open for probes, which have neither a password nor a certificate; the toolkit
// cannot do that.
//
// # Why not the toolkit's package
//
// Package web of the toolkit imports html/template, which calls methods by name. A program
// with it keeps every exported method of every type: this one would have 26 MB instead of
// 17. So the format is read here. The tests import the toolkit, and compare which files each
// of the two accepts.
package webconfig

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"rewatch/proxy/transport"
)

// Check returns an error if a file is wrong, or if a certificate or key that it names is.
func Check(path string) error {
	_, err := load(path)
	return err
}

// load reads a file and the certificates that it names.
func load(path string) (*settings, error) {
	s, err := read(path)
	if err == nil && s.base != nil {
		_, err = s.handshake()
	}
	return s, err
}

// Secure says whether a file turns TLS on; false also if it cannot be read.
func Secure(path string) bool {
	s, err := read(path)
	return err == nil && s.base != nil
}

// Certificate is the server's own certificate (DER). A client on the same machine can expect
// exactly that one.
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

// CertificateFile names the file that contains the server's certificate: a file of its own, or
// the web configuration itself. It is empty without TLS.
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

// File is a web configuration in use. It is read again when it changes; only whether there is
// TLS at all cannot change while the server runs.
type File struct {
	path string
	// Refused, if set, is called upon a wrong password, before the answer. It may wait.
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

// settings gives the settings and the rate limiter of the file as it is now. While the file
// cannot be read, the error says so: old settings are not used, so nobody is let in.
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

// Listen gives a listener that does TLS if the file asks for it. The handshake asks for a client
// certificate and verifies it if there is one. Handler refuses a request without one, because
// a probe has none. The server tells Said of each request.
func (f *File) Listen(l net.Listener) (net.Listener, error) {
	s, _, err := f.settings()
	if err != nil || s.base == nil {
		return l, err
	}
	first, err := f.handshake(nil)
	if err != nil {
		return nil, err
	}
	first.GetConfigForClient = f.handshake
	return transport.Secure(l, first), nil
}

// Said notes that a request has come by a connection of Listen: its peer may send as many bytes
// again, 20 KiB with those of TLS.
func Said(c net.Conn) { transport.Said(c) }

// PerConn is the memory, in bytes, that TLS takes at most of a connection of Listen.
const PerConn = transport.SecureEach

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

// Handler hands a request to next if the file admits it, or if open says that it is open to
// everybody.
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

// admits says whether a request has the right password, or needs none.
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
