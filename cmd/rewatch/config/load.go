package config

import (
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"

	template "github.com/DataDog/datadog-agent/pkg/template/text"
	"github.com/caarlos0/env/v11"
	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/cli"
	"rewatch/proxy/uac"
)

// Load reads the configuration and checks it. The error, if any, is of type Mistakes and has all wrong
// variables, one line each, so that one restart is enough to correct them.
func Load(environ cli.Environ) (Config, error) {
	var cfg Config
	in := newInspection(environ)
	in.parse(&cfg)
	in.findUnknown()
	in.readSecrets(&cfg)
	in.readText("REWATCH_MESSAGE_TEMPLATE", "template text", &cfg.UAC.MessageTemplate)
	in.readText("REWATCH_DEREGISTER_HOOK_BODY", "a JSON body", &cfg.UAC.HookBody)
	in.readText("REWATCH_HEADERS", "header fields", &cfg.UAC.Headers)
	in.findEmptyAdminListen()
	for _, check := range checks {
		check(in, &cfg)
	}
	if err := in.verdict(); err != nil {
		return Config{}, err
	}
	cfg.complete()
	return cfg, nil
}

// parse fills the groups one by one. The error of the library has only the name of a field, which is
// unique within its group.
func (in *inspection) parse(cfg *Config) {
	for field, group := range reflect.ValueOf(cfg).Elem().Fields() {
		in.parseGroup(field.Tag.Get("envPrefix"), group)
	}
}

func (in *inspection) parseGroup(prefix string, group reflect.Value) {
	err := env.ParseWithOptions(group.Addr().Interface(), env.Options{
		Environment: in.environ, Prefix: prefix, FuncMap: parsers,
	})
	if err == nil {
		return
	}
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		all.Errors = []error{err}
	}
	for _, err := range all.Errors {
		in.rejectField(group.Type(), prefix, err)
	}
}

func (in *inspection) rejectField(group reflect.Type, prefix string, err error) {
	parse, ok := errors.AsType[env.ParseError](err)
	if !ok {
		in.unknown = append(in.unknown, Mistake{Variable: group.Name(), Want: err.Error()})
		return
	}
	field, _ := group.FieldByName(parse.Name)
	accepted := parse.Err.Error()
	if text, ok := acceptedByType[field.Type]; ok {
		accepted = text
	}
	in.reject(prefix+field.Tag.Get("env"), accepted)
}

// acceptedByType says which values are accepted by types that parse themselves, because their errors
// do not say so.
var acceptedByType = map[reflect.Type]string{
	reflect.TypeFor[netip.Addr]():    "an IP address",
	reflect.TypeFor[zerolog.Level](): string(wantLevel),
}

// readSecrets reads the secrets that are given as files.
func (in *inspection) readSecrets(cfg *Config) {
	in.readSecret("REWATCH_AUTH_PASSWORD", cfg.UAC.AuthFile, &cfg.UAC.AuthPassword)
	in.readSecret("REWATCH_LOG_USERS_KEY", cfg.Process.KeyFile, &cfg.Process.UsersKey)
	in.readSecret("REWATCH_DEREGISTER_HOOK_TOKEN", cfg.UAC.HookFile, &cfg.UAC.HookToken)
	in.readSecret("REWATCH_ALARM_SNMP_COMMUNITY", cfg.SNMP.CommunityFile, &cfg.SNMP.Community)
	in.readSecret("REWATCH_ALARM_SNMP_AUTH_KEY", cfg.SNMP.AuthKeyFile, &cfg.SNMP.AuthKey)
	in.readSecret("REWATCH_ALARM_SNMP_PRIV_KEY", cfg.SNMP.PrivKeyFile, &cfg.SNMP.PrivKey)
	in.readSecret("REWATCH_ADMIN_TOKEN", cfg.Admin.File, &cfg.Admin.Token)
}

func (in *inspection) readSecret(variable, file string, secret *Secret) {
	if file == "" {
		return
	}
	if *secret != "" {
		in.reject(variable+"_FILE", "only one of "+variable+" and "+variable+"_FILE")
		return
	}
	text, err := os.ReadFile(file) //nolint:gosec // The operator names the file.
	if err != nil {
		in.reject(variable+"_FILE", "a file that can be read ("+Cause(err)+")")
		return
	}
	// Editors and "echo" end the file with a newline that is no part of it.
	if *secret = Secret(strings.TrimRight(string(text), "\r\n")); *secret == "" {
		in.reject(variable+"_FILE", "a file that is not empty")
	}
}

// readText replaces a value "@file" by the text of the file.
func (in *inspection) readText(variable, what string, value *string) {
	file, ok := strings.CutPrefix(*value, "@")
	if !ok {
		return
	}
	text, err := os.ReadFile(file) //nolint:gosec // The operator names the file.
	if err != nil {
		in.reject(variable, what+", or @ and a file that can be read ("+Cause(err)+")")
		return
	}
	*value = string(text)
}

// Template is the body of the MESSAGE, or nil for the default one.
func (c UACConfig) Template() *template.Template {
	if c.MessageTemplate == "" {
		return nil
	}
	return template.Must(uac.ParseTemplate(c.MessageTemplate)) // checked by Load
}

// findEmptyAdminListen rejects an empty REWATCH_ADMIN_LISTEN. For all other variables an empty value is
// an absent one, as templates of manifests need it. But an operator who empties this one probably
// wants no admin port, and must not get :9090.
func (in *inspection) findEmptyAdminListen() {
	if v, ok := in.environ["REWATCH_ADMIN_LISTEN"]; ok && strings.TrimSpace(v) == "" {
		in.reject("REWATCH_ADMIN_LISTEN", wantAdminListen)
	}
}

// complete sets the defaults that depend on other values or on the machine.
func (c *Config) complete() {
	c.Proxy.Advertised = c.Proxy.Advertise.Host != "" || c.Pod.IP.IsValid()
	if c.Proxy.Advertise.Host == "" {
		c.Proxy.Advertise.Host = c.ownHost()
	}
	if c.UAC.Identity.Raw == "" {
		c.UAC.Identity, _ = parseURI("sip:rewatch@" + c.Proxy.Advertise.String())
	}
	if c.SNMP.Community == "" {
		c.SNMP.Community = "public"
	}
	if c.Admin.Listen == "off" {
		c.Admin.Listen = ""
	}
	if len(c.Dialogs.Events) == 1 && c.Dialogs.Events[0] == "*" {
		c.Dialogs.Events = nil
	}
}

// ownHost is the default of REWATCH_ADVERTISE: the host at which the core finds rewatch.
func (c *Config) ownHost() string {
	if c.Pod.IP.IsValid() {
		return c.Pod.IP.String()
	}
	for _, l := range c.Proxy.Listen {
		if a, err := netip.ParseAddr(l.Host); l.Host != "" && (err != nil || !a.IsUnspecified()) {
			return l.Host
		}
	}
	return RouteSource(c.Proxy.Core)
}

// Cause is the text of the innermost error. The outer ones name the file, which the reader knows.
func Cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
