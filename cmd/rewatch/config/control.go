package config

import (
	"net"
	"net/netip"
	"reflect"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/webconfig"
)

// Control has the variables that a command needs to talk to a rewatch that runs in another process.
type Control struct {
	Admin   AdminConfig
	Process ProcessConfig
}

// LoadControl reads the variables of administration and of the log, and checks them. All
// others may be missing.
func LoadControl(environ cli.Environ) (Control, error) {
	var cfg Config
	in := newInspection(environ)
	for field, group := range reflect.ValueOf(&cfg).Elem().Fields() {
		if group.Type() == reflect.TypeFor[AdminConfig]() || group.Type() == reflect.TypeFor[ProcessConfig]() {
			in.parseGroup(field.Tag.Get("envPrefix"), group)
		}
	}
	in.readSecret("REWATCH_LOG_USERS_KEY", cfg.Process.KeyFile, &cfg.Process.UsersKey)
	in.readSecret("REWATCH_ADMIN_TOKEN", cfg.Admin.File, &cfg.Admin.Token)
	for _, check := range []func(*inspection, *Config){checkAdmin, checkProcess, checkUsers} {
		check(in, &cfg)
	}
	return Control{cfg.Admin, cfg.Process}, in.verdict()
}

// Address is the host and port at which the admin server of this machine is reached: that of Listen,
// with loopback in place of a wildcard.
func (c AdminConfig) Address() string {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return c.Listen
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// Scheme is "https" if the admin server has TLS, else "http".
func (c AdminConfig) Scheme() string {
	if c.Web != "" && webconfig.Secure(c.Web) {
		return "https"
	}
	return "http"
}

// CertificateFile names the file of the admin server's certificate; empty if there is none.
func (c AdminConfig) CertificateFile() string {
	if c.Web == "" {
		return ""
	}
	return webconfig.CertificateFile(c.Web)
}
