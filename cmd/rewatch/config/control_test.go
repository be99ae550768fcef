package config

import (
	"strings"
	"testing"

	"rewatch/cmd/rewatch/cli"
)

func TestAddress(t *testing.T) {
	for listen, want := range map[string]string{
		":9090": "127.0.0.1:9090", "0.0.0.0:9090": "127.0.0.1:9090", "[::]:9090": "[::1]:9090",
		"10.0.0.7:9090": "10.0.0.7:9090", "[2001:db8::7]:9090": "[2001:db8::7]:9090", "admin.example:80": "admin.example:80",
	} {
		if got := (AdminConfig{Listen: listen}).Address(); got != want {
			t.Errorf("Address of %q is %q, want %q", listen, got, want)
		}
	}
}

// Whoever only controls needs no REWATCH_SERVER, and hears of what concerns the control.
func TestLoadControl(t *testing.T) {
	cfg, err := LoadControl(cli.Environ{"REWATCH_ADMIN_TOKEN": "s3cret", "REWATCH_CORE": "nonsense"})
	if err != nil || cfg.Admin.Token.Reveal() != "s3cret" || cfg.Admin.Listen != ":9090" {
		t.Errorf("%+v, %v", cfg, err)
	}
	for name, value := range map[string]string{"REWATCH_ADMIN_LISTEN": "nonsense", "REWATCH_ADMIN_TOKEN_FILE": "/does/not/exist", "REWATCH_LOG_USERS": "x", "REWATCH_ADMIN_WEB_CONFIG": "/does/not/exist"} {
		if _, err := LoadControl(cli.Environ{name: value}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
