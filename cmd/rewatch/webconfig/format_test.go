package webconfig

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/exporter-toolkit/web"
	"pgregory.net/rapid"
)

// toolkit is the folder of the toolkit's sources: its documentation, and the files that its
// own tests read.
func toolkit(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/exporter-toolkit").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(dir))
}

// testdata is a folder with the toolkit's certificates and files, to which a test may add.
func testdata(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(toolkit(t), "web", "testdata"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t interface{ Fatal(...any) }, path, text string) string {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestToolkit: each file of the toolkit's own tests and its sample are taken or refused as
// the toolkit does.
func TestToolkit(t *testing.T) {
	dir := testdata(t)
	sample, err := os.ReadFile(filepath.Join(toolkit(t), "docs", "web-config.yml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sample.yml"), string(sample))
	files, err := filepath.Glob(filepath.Join(dir, "*.y*ml"))
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, got := web.Validate(file), Check(file)
			if (want == nil) != (got == nil) {
				t.Errorf("the toolkit says %v and we %v", want, got)
			}
		})
	}
}

// TestDocumentedKeys: every key of the toolkit's documentation is known, with the default
// that stands there.
func TestDocumentedKeys(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(toolkit(t), "docs", "web-configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, scheme, _ := strings.Cut(string(text), "```\n")
	scheme, _, _ = strings.Cut(scheme, "```")
	values := map[string]string{"filename": `"x"`, "string": `"x"`, "secret": `"x"`, "boolean": "true", "bool": "true", "duration": "1s", "int": "1"}
	key := regexp.MustCompile(`(?m)^( *)\[? ?([a-z0-9_]+|[A-Z][A-Za-z-]+):(?: <([a-z]+)>)?`)
	section, seen := "", 0
	for _, m := range key.FindAllStringSubmatch(scheme, -1) {
		indent, name, kind := m[1], m[2], m[3]
		if indent == "" {
			section = name
			continue
		}
		body := "\n  " + name + ": " + values[kind]
		switch {
		case name == "headers":
			continue
		case name[0] <= 'Z':
			body = "\n  headers:\n    " + name + ": " + map[string]string{"X-Frame-Options": "deny", "X-Content-Type-Options": "nosniff"}[name]
		case kind == "": // a list, whose items stand below
			body = "\n  " + name + ": []"
		}
		seen++
		path := write(t, filepath.Join(t.TempDir(), "web.yml"), section+":"+body+"\n")
		if _, err := read(path); err != nil && strings.Contains(err.Error(), "not found in type") {
			t.Errorf("%s.%s: %v", section, name, err)
		}
		if _, err := read(path); (web.Validate(path) == nil) != (err == nil) && kind != "filename" {
			t.Errorf("%s.%s: the toolkit says %v and we %v", section, name, web.Validate(path), err)
		}
	}
	if seen != 21 {
		t.Errorf("%d keys are documented, 21 were known when this was written", seen)
	}
	s, err := read(write(t, filepath.Join(t.TempDir(), "empty.yml"), ""))
	if err != nil || s.base != nil || s.TLS.Min != "TLS12" || s.TLS.Max != "TLS13" || s.Limit.Interval != 0 {
		t.Errorf("defaults: %+v, %v", s, err)
	}
}

// TestAsTheToolkit: whatever keys and values come together, the toolkit and we say the same.
func TestAsTheToolkit(t *testing.T) {
	dir := testdata(t)
	inline := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%q", text)
	}
	choices := map[string]map[string][]string{
		"tls_server_config": {
			"cert_file": {"server.crt", "server.crt", filepath.Join(dir, "server.crt"), `""`, "absent", "server.key"}, "cert": {inline("server.crt"), `""`, "x"},
			"key_file": {"server.key", "server.key", `""`, "absent", "client_selfsigned.key"}, "key": {inline("server.key"), `""`, "x"},
			"client_ca_file": {"client_selfsigned.pem", "tls-ca-chain.pem", "absent", `""`}, "client_ca": {inline("client_selfsigned.pem"), `""`},
			"client_auth_type":    {"NoClientCert", "RequestClientCert", "RequireClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert", "requireany", `""`},
			"client_allowed_sans": {"[a, b]", "[]", "a"}, "min_version": {"TLS10", "TLS11", "TLS12", "TLS13", "TLS14"}, "max_version": {"TLS12", "TLS13", "1.3"},
			"cipher_suites":     {"[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", "[TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]", "[TLS_RSA_WITH_RC4_128_SHA]", "[]", "x"},
			"curve_preferences": {"[X25519, CurveP256]", "[P256]", "[]"}, "prefer_server_cipher_suites": {"true", "false", "maybe"}, "cert_filse": {"x"},
		},
		"http_server_config": {
			"http2":   {"true", "false", "2"},
			"headers": {"{X-Frame-Options: deny}", "{X-Frame-Options: SAMEORIGIN}", "{x-frame-options: deny}", "{Server: x}", "{Content-Security-Policy: \"x\"}", "{}", "{X-XSS-Protection: 1}"},
		},
		"rate_limit":       {"interval": {"1s", "0", "1", "-1s", "soon"}, "burst": {"0", "5", "-1", "many"}},
		"basic_auth_users": {"ops": {nobody, "plain", `""`, "[]"}, "dev": {nobody}},
	}
	file := filepath.Join(dir, "drawn.yml")
	verdicts := map[bool]int{}
	rapid.Check(t, func(r *rapid.T) {
		var text strings.Builder
		for _, section := range slices.Sorted(maps.Keys(choices)) {
			if !rapid.Bool().Draw(r, section) {
				continue
			}
			fmt.Fprintf(&text, "%s:\n", section)
			for _, key := range slices.Sorted(maps.Keys(choices[section])) {
				if rapid.IntRange(0, 2).Draw(r, key) == 0 {
					fmt.Fprintf(&text, "  %s: %s\n", key, rapid.SampledFrom(choices[section][key]).Draw(r, "value"))
				}
			}
		}
		write(r, file, text.String())
		want, got := web.Validate(file), Check(file)
		verdicts[want == nil]++
		if (want == nil) != (got == nil) {
			r.Errorf("the toolkit says %v and we %v of\n%s", want, got, text.String())
		}
	})
	if verdicts[true] == 0 || verdicts[false] == 0 {
		t.Errorf("of the files some were to be right and some wrong: %v", verdicts)
	}
}
