package ctl

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rewatch/cmd/rewatch/cli"
)

// apiOf answers as a rewatch would that asks for a password, and notes the changes.
func apiOf(changes *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ops" || password != "right" {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		if r.Method != http.MethodGet {
			body, _ := io.ReadAll(r.Body)
			*changes = append(*changes, r.Method+" "+r.RequestURI+" "+string(body)+" "+r.Header.Get("X-Rewatch-Token"))
		}
		_, _ = io.WriteString(w, "{}")
	}
}

// webFile is a web configuration with the certificate of a server.
func webFile(t *testing.T, pair tls.Certificate) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "web.yml")
	if err := os.WriteFile(file, []byte("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What goes over the wire: the change, the token in a header of its own, the password; to
// the server whose certificate the web configuration names, or a CA signs, and to no other.
func TestOverTLS(t *testing.T) {
	var changes []string
	server := httptest.NewTLSServer(apiOf(&changes))
	defer server.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	password := write("password", "right\n")
	ca := write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))

	own := cli.Environ{
		"REWATCH_ADMIN_LISTEN": server.Listener.Addr().String(), "REWATCH_ADMIN_TOKEN": "s3cret",
		"REWATCH_ADMIN_WEB_CONFIG": webFile(t, server.TLS.Certificates[0]),
	}
	away := cli.Environ{"REWATCH_ADMIN_TOKEN": "s3cret"}
	login := []string{"-user", "ops", "-password-file", password}
	for _, c := range []struct {
		name    string
		environ cli.Environ
		args    []string
		change  string
		err     string
	}{
		{"its own", own, append(login, "hold", "a", "b"), `PUT /api/v1/hold {"reason":"a b"} s3cret`, ""},
		{"by a CA", away, append(login, "-address", server.URL, "-ca", ca, "resume", "10.0.0.7:5060"), "DELETE /api/v1/hold?hop=10.0.0.7%3A5060  s3cret", ""},
		{"a user with a slash", away, append(login, "-address", server.URL, "-ca", ca, "reset", "sip:a/b@x"), "POST /api/v1/watchers/sip:a%2Fb@x/reset  s3cret", ""},
		{"in the URL", away, []string{"-address", strings.Replace(server.URL, "//", "//ops:right@", 1), "-ca", ca, "dry-run", "on"}, `PUT /api/v1/dry-run {"on":true} s3cret`, ""},
		{"no password", own, []string{"unban", "sip:a@x"}, "", "says 401: Unauthorized"},
		{"nobody has signed it", away, append(login, "-address", server.URL, "resume"), "", "certificate"},
		{"not over HTTP", away, append(login, "-address", "http://"+server.Listener.Addr().String(), "hold", "x"), "", "says 400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes = nil
			err := Command(t.Context(), cli.Call{Args: c.args, Environ: c.environ, Stdout: io.Discard})
			if got := strings.Join(changes, ";"); got != c.change || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("asked %q, %v", got, err)
			}
		})
	}
}

// A server that shows another certificate than one's own does not get the token.
func TestAnotherCertificate(t *testing.T) {
	var changes []string
	server := httptest.NewTLSServer(apiOf(&changes))
	defer server.Close()
	file := webFile(t, server.TLS.Certificates[0])
	var config tls.Config
	if err := expect(&config, file); err != nil {
		t.Fatal(err)
	}
	good := tls.ConnectionState{PeerCertificates: []*x509.Certificate{server.Certificate()}}
	if err := config.VerifyConnection(good); err != nil {
		t.Error(err)
	}
	wrong := *server.Certificate()
	wrong.Raw = append([]byte(nil), wrong.Raw...)
	wrong.Raw[len(wrong.Raw)-1] ^= 1
	for _, state := range []tls.ConnectionState{{}, {PeerCertificates: []*x509.Certificate{&wrong}}} {
		if err := config.VerifyConnection(state); err == nil {
			t.Error("it is taken")
		}
	}
}
