package webconfig

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// pair is a certificate of the toolkit's tests with its key.
func pair(t *testing.T, dir, cert, key string) tls.Certificate {
	t.Helper()
	p, err := tls.LoadX509KeyPair(filepath.Join(dir, cert), filepath.Join(dir, key))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// serve starts a server that a file protects; /open is open.
func serve(t *testing.T, path string) *httptest.Server {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "in by "+r.Proto)
	}), func(r *http.Request) bool { return r.URL.Path == "/open" }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain := s.Listener
	if s.Listener, err = f.Listen(plain); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Close)
	if s.Listener != plain {
		s.URL = strings.Replace(s.URL, "http:", "https:", 1)
	}
	return s
}

// get asks and says what came back: the status and the text, or 0 and the error.
func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(text)
}

// client trusts the server of the toolkit's tests and shows a certificate, whoever is asked for.
func client(t *testing.T, dir string, own ...tls.Certificate) *http.Client {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "tls-ca-chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	c := &tls.Config{RootCAs: roots, ServerName: "localhost", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(own) == 0 {
			return &tls.Certificate{}, nil
		}
		return &own[0], nil
	}}
	transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestClientCertificates: for each client_auth_type, who gets in: nobody's, a trusted and a
// strange certificate. A probe always does, unless what it shows is refused.
func TestClientCertificates(t *testing.T) {
	dir := testdata(t)
	friend, stranger := pair(t, dir, "client_selfsigned.pem", "client_selfsigned.key"), pair(t, dir, "client2_selfsigned.pem", "client2_selfsigned.key")
	for _, c := range []struct {
		auth                    string
		nobody, friend, strange int
	}{
		{"NoClientCert", 200, 200, 200},
		{"RequestClientCert", 200, 200, 200},
		{"RequireClientCert", 401, 200, 200},
		{"RequireAnyClientCert", 401, 200, 200},
		{"VerifyClientCertIfGiven", 200, 200, 0},
		{"RequireAndVerifyClientCert", 401, 200, 0},
	} {
		t.Run(c.auth, func(t *testing.T) {
			text := "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_auth_type: " + c.auth + "\n"
			if c.auth != "NoClientCert" {
				text += "  client_ca_file: client_selfsigned.pem\n"
			}
			s := serve(t, write(t, filepath.Join(dir, c.auth+".yml"), text))
			for who, visit := range map[string]struct {
				with *http.Client
				want int
			}{
				"nobody": {client(t, dir), c.nobody}, "the friend": {client(t, dir, friend), c.friend}, "the stranger": {client(t, dir, stranger), c.strange},
			} {
				if status, said := get(t, visit.with, s.URL); status != visit.want {
					t.Errorf("%s: %d %s, want %d", who, status, said, visit.want)
				}
				if status, said := get(t, visit.with, s.URL+"/open"); visit.want != 0 && status != 200 {
					t.Errorf("the probe of %s: %d %s", who, status, said)
				}
			}
		})
	}
}

// TestAllowedNames: with client_allowed_sans a certificate gets in by any name that stands
// in it, and by no other.
func TestAllowedNames(t *testing.T) {
	dir := testdata(t)
	stranger := pair(t, dir, "client2_selfsigned.pem", "client2_selfsigned.key")
	for file, want := range map[string]int{"web_config_auth_client_san.good.yaml": 200, "web_config_auth_client_san.bad.yaml": 0} {
		if status, said := get(t, client(t, dir, stranger), serve(t, filepath.Join(dir, file)).URL); status != want {
			t.Errorf("%s: %d %s", file, status, said)
		}
	}
	s := &settings{}
	cert := &x509.Certificate{
		DNSNames: []string{"a.example"}, EmailAddresses: []string{"ops@example"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "example", Path: "/ops"}},
	}
	for name, in := range map[string]bool{"a.example": true, "ops@example": true, "192.0.2.1": true, "spiffe://example/ops": true, "b.example": false, "": false} {
		s.TLS.ClientNames = []string{"other", name}
		if err := s.named(tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}); (err == nil) != in {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestHandshake: versions, ciphers, curves and protocols are those of the file; what is
// written in the file itself will do.
func TestHandshake(t *testing.T) {
	dir := testdata(t)
	own := "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
	old := func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }
	for name, c := range map[string]struct {
		text   string
		client func(*tls.Config)
		want   string // what the visitor reads, or part of the error
	}{
		"plain":                 {own, nil, "in by HTTP/1.1"},
		"never HTTP/2":          {own + "http_server_config:\n  http2: true\n", nil, "in by HTTP/1.1"},
		"no TLS 1.1 by default": {own, old, "protocol version"},
		"TLS 1.1":               {own + "  min_version: TLS11\n", old, "in by HTTP/1.1"},
		"no TLS 1.3":            {own + "  max_version: TLS12\n", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, "protocol version"},
		"a cipher": {
			own + "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n",
			func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384} }, "handshake failure",
		},
		"a curve": {own + "  curve_preferences: [CurveP521]\n", func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, "handshake failure"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, write(t, filepath.Join(dir, "web.yml"), c.text))
			visitor := client(t, dir)
			if c.client != nil {
				c.client(visitor.Transport.(*http.Transport).TLSClientConfig)
			}
			if _, said := get(t, visitor, s.URL); !strings.Contains(said, c.want) {
				t.Errorf("%q, want %q", said, c.want)
			}
		})
	}
	inline := filepath.Join(dir, "web_config_noAuth_tlsInline.good.yml")
	if _, said := get(t, client(t, dir), serve(t, inline).URL); said != "in by HTTP/1.1" {
		t.Errorf("written in the file: %q", said)
	}
	want := pair(t, dir, "server.crt", "server.key").Certificate[0]
	for _, path := range []string{inline, filepath.Join(dir, "web_config_noAuth.good.yml")} {
		if got, err := Certificate(path); err != nil || string(got) != string(want) || !Secure(path) {
			t.Errorf("%s: %v, %d bytes", path, err, len(got))
		}
	}
	if CertificateFile(inline) != inline || CertificateFile(filepath.Join(dir, "web_config_noAuth.good.yml")) != filepath.Join(dir, "server.crt") {
		t.Error("it says of another file that the certificate stands in it")
	}
	for _, path := range []string{filepath.Join(dir, "absent"), filepath.Join(dir, "web_config_empty.yml")} {
		if _, err := Certificate(path); err == nil || CertificateFile(path) != "" || Secure(path) {
			t.Errorf("%s has no certificate, and one was found", path)
		}
	}
	if Check(write(t, filepath.Join(dir, "web.yml"), own+"  client_auth_type: RequestClientCert\n  client_ca_file: server.key\n")) == nil {
		t.Error("a client_ca_file without a certificate was taken")
	}
}

// TestChanges: what changes in the file or in the certificates holds for the next visitor;
// a file that cannot be read lets nobody in, and a certificate that was taken away none.
func TestChanges(t *testing.T) {
	dir := testdata(t)
	path := filepath.Join(dir, "web.yml")
	own := "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
	s := serve(t, write(t, path, own))
	visitor := client(t, dir)
	step := func(what, text string, want int, said string) {
		t.Helper()
		write(t, path, text)
		if status, got := get(t, visitor, s.URL); status != want || !strings.Contains(got, said) {
			t.Errorf("%s: %d %s, want %d %s", what, status, got, want, said)
		}
	}
	step("at first", own, 200, "")
	step("a password", own+"basic_auth_users:\n  ops: "+nobody+"\n", 401, "")
	step("a certificate of the client", own+"  client_auth_type: RequireAnyClientCert\n", 401, "certificate")
	step("a certificate that nobody trusts", strings.NewReplacer("server.crt", "client_selfsigned.pem", "server.key", "client_selfsigned.key").Replace(own), 0, "certificate")
	step("no certificate", "http_server_config:\n  http2: false\n", 0, "")
	step("nonsense", own+"nonsense", 0, "")
	step("as before", own+"\n", 200, "")

	plain := write(t, filepath.Join(dir, "plain.yml"), "")
	s = serve(t, plain)
	write(t, plain, "nonsense")
	if status, said := get(t, visitor, s.URL); status != 500 || !strings.Contains(said, "cannot be read") {
		t.Errorf("nonsense: %d %s", status, said)
	}
	if err := os.Remove(plain); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, visitor, s.URL); status != 500 {
		t.Errorf("no file: %d", status)
	}
	if _, err := Open(plain); err == nil {
		t.Error("no file was opened")
	}
}

// TestHeaders: every answer carries them, that of a probe and a refusal too.
func TestHeaders(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "web.yml"), "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: 1\nbasic_auth_users:\n  ops: "+nobody+"\n")
	s := serve(t, path)
	for where, want := range map[string]int{"/": 401, "/open": 200} {
		resp, err := http.Get(s.URL + where) //nolint:noctx // a test's own server
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want || resp.Header.Get("X-Frame-Options") != "deny" || resp.Header.Get("X-XSS-Protection") != "1" {
			t.Errorf("%s: %d %v", where, resp.StatusCode, resp.Header)
		}
	}
}

// TestRate: a token comes each interval, burst of them lie ready; probes take none.
func TestRate(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "web.yml"), "rate_limit:\n  interval: 1s\n  burst: 2\n")
	synctest.Test(t, func(t *testing.T) {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		h := f.Handler(http.NotFoundHandler(), func(r *http.Request) bool { return r.URL.Path == "/open" })
		for i, step := range []struct {
			path  string
			after time.Duration
			want  int
		}{
			{"/", 0, 404}, {"/", 0, 404}, {"/", 0, 429}, {"/open", 0, 404}, {"/", time.Second, 404}, {"/", 0, 429},
		} {
			time.Sleep(step.after)
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, step.path, http.NoBody)); w.Code != step.want {
				t.Errorf("step %d: %d, want %d", i, w.Code, step.want)
			}
		}
	})
}

// TestPasswords: a right password gets in, at once the second time; a wrong one, a user
// that is not known and a hash that has changed do not, and are told of.
func TestPasswords(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "web.yml")
	f, err := Open(write(t, path, fmt.Sprintf("basic_auth_users:\n  ops: %s\n", hash)))
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	f.Refused = func(*http.Request) { refused++ }
	h := f.Handler(http.NotFoundHandler(), func(*http.Request) bool { return false })
	for i, step := range []struct {
		user, password string
		want, refused  int
	}{
		{"", "", 401, 0},
		{"ops", "wrong", 401, 1},
		{"ops", "right", 404, 1},
		{"ops", "right", 404, 1},
		{"admin", "right", 401, 2},
		{"admin", "fakepassword", 401, 3},
		{"ops", "fakepassword", 401, 4},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		if step.user != "" {
			r.SetBasicAuth(step.user, step.password)
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != step.want || refused != step.refused {
			t.Errorf("step %d: %d and %d refused, want %d and %d", i, w.Code, refused, step.want, step.refused)
		}
	}
	write(t, path, "basic_auth_users:\n  ops: "+nobody+"\n")
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.SetBasicAuth("ops", "right")
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 401 {
		t.Errorf("the password of yesterday: %d", w.Code)
	}
}

// TestPasswordsThatAreRemembered are bounded.
func TestPasswordsThatAreRemembered(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	var p passwords
	for i := range 2 * maxKnown {
		if !p.right(fmt.Sprint(i), string(hash), true, "right") {
			t.Fatal("it is right")
		}
		if len(p.digests) > maxKnown {
			t.Fatalf("%d are remembered", len(p.digests))
		}
	}
}
