package sidecar

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
	"rewatch/proxy/uac"
)

// SIGHUP has files read again, and says so; one that is wrong changes nothing. The process
// goes on in any case.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "message.tmpl")
	put := func(s string) {
		t.Helper()
		if err := os.WriteFile(text, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("first {{.AOR}}")
	load := func() (config.Config, error) {
		return config.Load(cli.Environ{
			"REWATCH_SERVER": "sip:127.0.0.1:5070;transport=udp", "REWATCH_LISTEN": "udp://127.0.0.1:0",
			"REWATCH_SERVER_LISTEN": "udp://127.0.0.1:0", "REWATCH_ADMIN_LISTEN": "off", "REWATCH_DRAIN": "0s",
			"REWATCH_MESSAGE_TEMPLATE": "@" + text,
		})
	}
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan os.Signal)
	out := &lines{more: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, Reload{asked, load}, out) }()
	out.await(t, "rewatch runs")
	asked <- syscall.SIGHUP
	out.await(t, `"template_changed":false`)
	put("second {{.AOR}}")
	asked <- syscall.SIGHUP
	out.await(t, `"template_changed":true`)
	put("third {{.NoSuchField}}")
	asked <- syscall.SIGHUP
	out.await(t, "nothing is reloaded")
	out.await(t, "REWATCH_MESSAGE_TEMPLATE")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	if n := strings.Count(out.text.String(), "SIGHUP"); n != 3 {
		t.Errorf("%d lines", n)
	}
}

// A certificate that does not fit its key is told of, and nothing is changed for it.
func TestReloadJudgesTheCertificate(t *testing.T) {
	dir := t.TempDir()
	cfg := config.TLSConfig{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	out := &lines{more: make(chan struct{}, 1)}
	p := &process{log: zerolog.New(out), client: uac.New(uac.Config{})}
	load := func() (config.Config, error) {
		return config.Config{TLS: cfg, UAC: config.UACConfig{MessageTemplate: "{{.AOR}}"}}, nil
	}
	p.reload(load)
	out.await(t, "nothing is reloaded")
	if p.template != "" {
		t.Error("the template has changed")
	}
	issue(t, cfg.Cert, cfg.Key, 1, "rewatch.example")
	p.reload(load)
	out.await(t, "certificate_until")
	if p.template == "" {
		t.Error("the template has not changed")
	}
}
