package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/bcrypt"

	"rewatch/cmd/rewatch/config"
	"rewatch/cmd/rewatch/webconfig"
)

// everyPath is what the admin server answers; the first two are open.
var everyPath = []string{
	"/healthz", "/readyz", "/", "/app.js", "/metrics", "/api/v1/summary", "/api/v1/watchers", "/api/v1/watchers/sip:alice@ims.example",
	"/api/v1/subscriptions", "/api/v1/recoveries", "/api/v1/alarms", "/api/v1/hold", "/api/v1/dry-run", "/api/v1/log-level", "/api/",
	"/debug/pprof/", "/nothing", "//healthz", "/healthz/../metrics", "/healthz/x",
}

// routed finds the patterns that the sources give to the mux.
var routed = regexp.MustCompile(`(?:HandleFunc|read|control)\("(/[^"]*)"|"(/debug/[^"]*)":`)

// routes are all that the admin server answers, with a name in each placeholder.
func routes(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range routed.FindAllStringSubmatch(string(text), -1) {
			all = append(all, strings.NewReplacer("{aor}", "sip:alice@ims.example", "{id}", "1").Replace(m[1]+m[2]))
		}
	}
	for _, known := range []string{"/", "/metrics", "/api/v1/hold", "/api/v1/recoveries/1/pcap", "/api/v1/watchers/sip:alice@ims.example/reset", "/debug/pprof/profile"} {
		if !slices.Contains(all, known) {
			t.Errorf("%s was not found in the sources", known)
		}
	}
	return all
}

// TestEveryRouteAsksForThePassword: whatever the method, only the probes answer without it.
func TestEveryRouteAsksForThePassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	write(t, file, users(t, "right"))
	b := busyBackend(time.Now())
	v := visitor{base: "http://" + serve(t, b, file), client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	defer v.client.CloseIdleConnections()
	open := 0
	for _, path := range routes(t) {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			status, text := v.ask(t, method, path, `{"reason":"x"}`, "Authorization", "Bearer s3cret", "X-Rewatch-Token", "s3cret")
			if probe := path == "/healthz" || path == "/readyz"; probe {
				open++
			} else if status != http.StatusUnauthorized {
				t.Errorf("%s %s: %d %s", method, path, status, text)
			}
		}
	}
	if open != 2*7 || b.held != "" {
		t.Errorf("%d answers of probes; held: %q", open, b.held)
	}
}

// certificate makes a pair of PEM files that sign themselves, and gives it.
func certificate(t *testing.T, dir, name string) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	write(t, filepath.Join(dir, name+".pem"), string(chain))
	write(t, filepath.Join(dir, name+".key"), string(private))
	pair, err := tls.X509KeyPair(chain, private)
	if err != nil {
		t.Fatal(err)
	}
	return pair, chain
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func users(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return "basic_auth_users:\n  ops: " + string(hash) + "\n"
}

// serve starts an admin server that a file protects, and gives its address.
func serve(t *testing.T, b Backend, file string) string {
	t.Helper()
	a := New(config.AdminConfig{Listen: "127.0.0.1:0", Token: "s3cret"}, b, fakeMetrics(), zerolog.Nop())
	a.cost = 0
	protected, err := webconfig.Open(file)
	if err == nil {
		a.Protect(protected)
		err = a.Listen(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := a.Serve(); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		if err := a.Shutdown(t.Context()); err != nil {
			_ = a.server.Close()
		}
		<-served
	})
	return a.Addr().String()
}

// visitor asks with what it has.
type visitor struct {
	base           string
	user, password string
	client         *http.Client
}

func (v visitor) ask(t *testing.T, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, v.base, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = "//" + r.URL.Host + path // as it stands, not cleaned
	if v.user != "" {
		r.SetBasicAuth(v.user, v.password)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := v.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func (v visitor) expectOnlyProbes(t *testing.T, who string) {
	t.Helper()
	for i, path := range everyPath {
		status, text := v.ask(t, "GET", path, "")
		if open := status == 200 || status == 503; open != (i < 2) || i >= 2 && status != 401 {
			t.Errorf("%s asks %s: %d %s", who, path, status, text)
		}
	}
	for _, change := range []string{"/api/v1/hold", "/api/v1/dry-run", "/healthz/../api/v1/hold"} {
		if status, text := v.ask(t, "PUT", change, `{"reason":"x"}`, "X-Rewatch-Token", "s3cret"); status != 401 {
			t.Errorf("%s changes %s: %d %s", who, change, status, text)
		}
	}
}

// Without the password nothing answers but the probes, over HTTP and over TLS; with it
// everything, and a change by the token in a header of its own.
func TestPassword(t *testing.T) {
	dir := t.TempDir()
	_, chain := certificate(t, dir, "server")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(chain)
	for scheme, text := range map[string]string{
		"http": "", "https": "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n",
	} {
		t.Run(scheme, func(t *testing.T) {
			file := filepath.Join(dir, scheme+".yml")
			write(t, file, text+users(t, "right"))
			b := busyBackend(time.Now())
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			defer client.CloseIdleConnections()
			v := visitor{base: scheme + "://" + serve(t, b, file), client: client}
			v.expectOnlyProbes(t, "nobody")
			v.user, v.password = "ops", "wrong"
			v.expectOnlyProbes(t, "a wrong password")
			v.user, v.password = "admin", "right"
			v.expectOnlyProbes(t, "an unknown user")
			v.user = "ops"
			for _, path := range everyPath[:12] {
				if status, text := v.ask(t, "GET", path, ""); status != 200 {
					t.Errorf("%s with the password: %d %s", path, status, text)
				}
			}
			if status, _ := v.ask(t, "PUT", "/api/v1/hold", `{"reason":"x"}`); status != 401 || b.held != "" {
				t.Errorf("the password alone changes something: %d", status)
			}
			if status, text := v.ask(t, "PUT", "/api/v1/hold", `{"reason":"x"}`, "X-Rewatch-Token", "s3cret"); status != 200 || b.held != "x" {
				t.Errorf("the token: %d %s", status, text)
			}
			b.auditing.Lock()
			last := b.audited[len(b.audited)-1]
			b.auditing.Unlock()
			if last != "administrator ops at 127.0.0.1: hold : x" {
				t.Errorf("written down: %s", last)
			}
			write(t, file, text+users(t, "another, longer one"))
			v.expectOnlyProbes(t, "the password of yesterday")
			write(t, file, "nonsense")
			if status, _ := v.ask(t, "GET", "/metrics", ""); status != 500 {
				t.Errorf("a file that cannot be read lets in: %d", status)
			}
		})
	}
}

// With mutual TLS whoever shows no certificate gets the probes alone, and one that
// nobody trusts is turned away in the handshake.
func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	_, chain := certificate(t, dir, "server")
	friend, _ := certificate(t, dir, "friend")
	stranger, _ := certificate(t, dir, "stranger")
	file := filepath.Join(dir, "web.yml")
	write(t, file, "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: friend.pem\n  client_allowed_sans: [friend]\n")
	base := "https://" + serve(t, busyBackend(time.Now()), file)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(chain)
	with := func(own ...tls.Certificate) visitor {
		// It shows its certificate whoever is asked for.
		t := &tls.Config{RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(own) == 0 {
				return &tls.Certificate{}, nil
			}
			return &own[0], nil
		}}
		return visitor{base: base, client: &http.Client{Transport: &http.Transport{TLSClientConfig: t, DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	}
	with().expectOnlyProbes(t, "nobody")
	if status, text := with(friend).ask(t, "GET", "/metrics", ""); status != 200 {
		t.Errorf("the friend: %d %s", status, text)
	}
	if status, text := with(stranger).ask(t, "GET", "/metrics", ""); status != 0 || !strings.Contains(text, "certificate") {
		t.Errorf("the stranger: %d %s", status, text)
	}
}
