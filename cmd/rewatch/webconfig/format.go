package webconfig

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v2"
	"golang.org/x/crypto/bcrypt"
)

// format is the content of a file. The keys, their defaults and the values that are refused are
// those of exporter-toolkit's docs/web-configuration.md.
type format struct {
	TLS  tlsSection `yaml:"tls_server_config"`
	HTTP struct {
		// HTTP2 is accepted and not used: one connection could have a mebibyte of the server's memory
		// with each frame, and as many requests open as it likes.
		HTTP2   bool              `yaml:"http2"`
		Headers map[string]string `yaml:"headers"`
	} `yaml:"http_server_config"`
	Limit struct {
		Burst    int           `yaml:"burst"`
		Interval time.Duration `yaml:"interval"`
	} `yaml:"rate_limit"`
	Users map[string]string `yaml:"basic_auth_users"`
}

type tlsSection struct {
	Cert         string   `yaml:"cert"`
	CertFile     string   `yaml:"cert_file"`
	Key          string   `yaml:"key"`
	KeyFile      string   `yaml:"key_file"`
	ClientCA     string   `yaml:"client_ca"`
	ClientCAFile string   `yaml:"client_ca_file"`
	ClientAuth   string   `yaml:"client_auth_type"`
	ClientNames  []string `yaml:"client_allowed_sans"`
	Ciphers      []string `yaml:"cipher_suites"`
	Curves       []string `yaml:"curve_preferences"`
	Min          string   `yaml:"min_version"`
	Max          string   `yaml:"max_version"`
	// PreferServer is accepted and not used, as in the toolkit: Go chooses the cipher.
	PreferServer bool `yaml:"prefer_server_cipher_suites"`
}

// enabled says whether the file asks for TLS.
func (s *tlsSection) enabled() bool {
	return s.Cert+s.CertFile+s.Key+s.KeyFile+s.ClientCA+s.ClientCAFile+s.ClientAuth != ""
}

// words are the names that the format has for values of crypto/tls.
type words[T any] map[string]T

// value finds the value of a word. The error names the key.
func (w words[T]) value(key, word string) (T, error) {
	value, known := w[word]
	if !known {
		return value, fmt.Errorf("%s: unknown value %q", key, word)
	}
	return value, nil
}

// values finds the values of words; nil if there are none. The error names the key.
func (w words[T]) values(key string, list []string) ([]T, error) {
	var found []T
	for _, word := range list {
		value, err := w.value(key, word)
		if err != nil {
			return nil, err
		}
		found = append(found, value)
	}
	return found, nil
}

var (
	versions = words[uint16]{"": 0, "TLS10": tls.VersionTLS10, "TLS11": tls.VersionTLS11, "TLS12": tls.VersionTLS12, "TLS13": tls.VersionTLS13}
	curves   = words[tls.CurveID]{"CurveP256": tls.CurveP256, "CurveP384": tls.CurveP384, "CurveP521": tls.CurveP521, "X25519": tls.X25519}
	auths    = words[tls.ClientAuthType]{
		"": tls.NoClientCert, "NoClientCert": tls.NoClientCert, "RequestClientCert": tls.RequestClientCert,
		"RequireClientCert": tls.RequireAnyClientCert, "RequireAnyClientCert": tls.RequireAnyClientCert,
		"VerifyClientCertIfGiven": tls.VerifyClientCertIfGiven, "RequireAndVerifyClientCert": tls.RequireAndVerifyClientCert,
	}
	// headers may be set, to these values; nil: to any.
	headers = words[[]string]{
		"Content-Security-Policy": nil, "Strict-Transport-Security": nil, "X-Content-Type-Options": {"nosniff"},
		"X-Frame-Options": {"deny", "sameorigin"}, "X-XSS-Protection": nil,
	}
)

// ciphers are the cipher suites without known security issues.
func ciphers() words[uint16] {
	known := words[uint16]{}
	for _, suite := range tls.CipherSuites() {
		known[suite.Name] = suite.ID
	}
	return known
}

// settings is the content of a file that is right. base is nil without TLS.
type settings struct {
	format
	base *tls.Config
}

// read reads a file and checks its content. The files that it names are read by handshake.
func read(path string) (*settings, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	s := &settings{}
	s.TLS.Min, s.TLS.Max = "TLS12", "TLS13"
	if err := yaml.UnmarshalStrict(text, &s.format); err != nil {
		return nil, err
	}
	for _, file := range []*string{&s.TLS.CertFile, &s.TLS.KeyFile, &s.TLS.ClientCAFile} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(filepath.Dir(path), *file)
		}
	}
	for name, value := range s.HTTP.Headers {
		allowed, err := headers.value("headers", name)
		if err == nil && allowed != nil && !slices.Contains(allowed, value) {
			err = fmt.Errorf("%s: %q is none of %q", name, value, allowed)
		}
		if err != nil {
			return nil, err
		}
	}
	for user, hash := range s.Users {
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return nil, fmt.Errorf("basic_auth_users: %s: %w", user, err)
		}
	}
	s.base, err = s.TLS.base()
	return s, err
}

// base is the part of the TLS configuration that needs no other file.
func (s *tlsSection) base() (*tls.Config, error) {
	c := &tls.Config{NextProtos: []string{"http/1.1"}}
	var errs [5]error
	c.MinVersion, errs[0] = versions.value("min_version", s.Min) // #nosec G402 -- the operator's choice; TLS12 by default
	c.MaxVersion, errs[1] = versions.value("max_version", s.Max)
	c.CipherSuites, errs[2] = ciphers().values("cipher_suites", s.Ciphers)
	c.CurvePreferences, errs[3] = curves.values("curve_preferences", s.Curves)
	c.ClientAuth, errs[4] = auths.value("client_auth_type", s.ClientAuth)
	if err := errors.Join(errs[:]...); err != nil || !s.enabled() {
		return nil, err
	}
	switch {
	case s.Cert+s.CertFile == "":
		return nil, errors.New("cert or cert_file is missing")
	case s.Key+s.KeyFile == "":
		return nil, errors.New("key or key_file is missing")
	case s.ClientCA+s.ClientCAFile != "" && c.ClientAuth == tls.NoClientCert:
		return nil, errors.New("client_ca says nothing without client_auth_type")
	}
	return c, nil
}

// either is the content of a file, or text if no file is named.
func either(file, text string) ([]byte, error) {
	if file == "" {
		return []byte(text), nil
	}
	return os.ReadFile(file) //nolint:gosec // the operator names the file
}

// pair reads the server's certificate and its key.
func (s *tlsSection) pair() (tls.Certificate, error) {
	cert, err := either(s.CertFile, s.Cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cert_file: %w", err)
	}
	key, err := either(s.KeyFile, s.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key_file: %w", err)
	}
	return tls.X509KeyPair(cert, key)
}

// handshake is the TLS configuration with the certificates as they are now. It verifies a client
// certificate if there is one; Handler refuses a request without one.
func (s *settings) handshake() (*tls.Config, error) {
	pair, err := s.TLS.pair()
	if err != nil {
		return nil, err
	}
	c := s.base.Clone()
	c.Certificates = []tls.Certificate{pair}
	if s.TLS.ClientCA+s.TLS.ClientCAFile != "" {
		text, err := either(s.TLS.ClientCAFile, s.TLS.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("client_ca_file: %w", err)
		}
		if c.ClientCAs = x509.NewCertPool(); !c.ClientCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("client_ca: no certificate (PEM)")
		}
	}
	switch c.ClientAuth {
	case tls.RequireAndVerifyClientCert:
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case tls.RequireAnyClientCert:
		c.ClientAuth = tls.RequestClientCert
	default:
	}
	if s.TLS.ClientNames != nil {
		c.VerifyConnection = s.named // of a session that is resumed as well
	}
	return c, nil
}

// wantsCertificate says whether a client has to show a certificate.
func (s *settings) wantsCertificate() bool {
	return s.base != nil && (s.base.ClientAuth == tls.RequireAndVerifyClientCert || s.base.ClientAuth == tls.RequireAnyClientCert)
}

// named refuses a client certificate that has none of the allowed names.
func (s *settings) named(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	cert := state.PeerCertificates[0]
	names := slices.Concat(cert.DNSNames, cert.EmailAddresses)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	for _, uri := range cert.URIs {
		names = append(names, uri.String())
	}
	for _, name := range names {
		if slices.Contains(s.TLS.ClientNames, name) {
			return nil
		}
	}
	return fmt.Errorf("the certificate names %q, client_allowed_sans has none of them", names)
}

// leaf is the first certificate of a chain (PEM), in DER.
func leaf(chain []byte) ([]byte, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil, errors.New("no certificate (PEM)")
	}
	return block.Bytes, nil
}

// setHeaders sets the header fields that every answer has.
func (s *settings) setHeaders(h http.Header) {
	for name, value := range s.HTTP.Headers {
		h.Set(name, value)
	}
}
