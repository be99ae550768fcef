package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/cli"
	"rewatch/policy"
)

// with gives an environment that is right but for what is added.
func with(pairs ...string) cli.Environ {
	environ := cli.Environ{"REWATCH_SERVER": "sip:127.0.0.1:5070;transport=udp"}
	for pair := range slices.Chunk(pairs, 2) {
		environ[pair[0]] = pair[1]
	}
	return environ
}

func mustLoad(t *testing.T, environ cli.Environ) Config {
	t.Helper()
	cfg, err := Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestAdvertise: an address is advertised in its usual form.
func TestAdvertise(t *testing.T) {
	for given, want := range map[string]string{
		"[::ffff:10.0.0.7]:5070": "10.0.0.7:5070", "::FFFF:a00:7": "10.0.0.7", "[FD00:0::7]:5060": "[fd00::7]:5060", "10.0.0.7.example": "10.0.0.7.example",
	} {
		if got := mustLoad(t, with("REWATCH_ADVERTISE", given)).Proxy.Advertise.String(); got != want {
			t.Errorf("REWATCH_ADVERTISE=%s: %s", given, got)
		}
	}
}

func TestDefaults(t *testing.T) {
	cfg := mustLoad(t, with("POD_IP", "10.1.2.3"))
	for _, c := range []struct{ name, got, want string }{
		{"server", fmt.Sprintf("%+v", cfg.Proxy.Server), "sip:127.0.0.1:5070;transport=udp"},
		{"server host", cfg.Proxy.Server.Host, "127.0.0.1"},
		{"listen", fmt.Sprint(cfg.Proxy.Listen), "[udp://:5060 tcp://:5060]"},
		{"server listen", fmt.Sprint(cfg.Proxy.ServerListen), "[udp://127.0.0.1:5062 tcp://127.0.0.1:5062]"},
		{"advertise", cfg.Proxy.Advertise.String(), "10.1.2.3"},
		{"identity", cfg.UAC.Identity.String(), "sip:rewatch@10.1.2.3"},
		{"notify timeout", cfg.Proxy.NotifyTimeout.String(), "28s"},
		{"events", fmt.Sprint(cfg.Dialogs.Events == nil), "true"},
		{"signal", fmt.Sprintf("%+v", cfg.Dialogs.Signal), "{Message:true Notify:false}"},
		{"admin", cfg.Admin.Listen, ":9090"},
		{"log level", cfg.Process.LogLevel.String(), "info"},
		{"template", fmt.Sprint(cfg.UAC.Template() == nil), "true"},
	} {
		if c.got != c.want {
			t.Errorf("%s = %q, want %q", c.name, c.got, c.want)
		}
	}
	rules := cfg.Policy.Rules()
	if rules.Threshold != 3 || rules.Count != policy.CountRegistration || rules.OnThreshold != policy.Deregister || rules.Ban != time.Hour {
		t.Errorf("rules = %+v", rules)
	}
}

func TestValues(t *testing.T) {
	cfg := mustLoad(t, with(
		"REWATCH_CORE", "sip:pcscf.ims.example, sip:[fd00::7]:5080;transport=TCP",
		"REWATCH_LISTEN", "udp://[::1]:5060, tcp://10.0.0.7:5080",
		"REWATCH_TRUSTED", "10.2.3.4, fd00::1/16",
		"REWATCH_SIGNAL", "message, notify",
		"REWATCH_MAX_EXPIRES", "2m",
		"REWATCH_ON_THRESHOLD", "ban",
		"REWATCH_COUNT", "recovery",
		"REWATCH_EVENTS", "presence,dialog",
		"REWATCH_DOMAINS", "IMS.example.",
		"REWATCH_ADMIN_LISTEN", "off",
		"REWATCH_ADMIN_HOSTS", "Rewatch.IMS.example., rewatch.svc",
		"REWATCH_LOG_LEVEL", "debug",
		"REWATCH_MESSAGE_TEMPLATE", "lost {{.AOR}}",
		"REWATCH_DRAIN", "", // empty is absent
	))
	core := cfg.Proxy.Core[1]
	if core.Host != "fd00::7" || core.Port != 5080 || core.Transport != "tcp" {
		t.Errorf("core = %+v", core)
	}
	if l := cfg.Proxy.Listen[0]; l.Host != "::1" || l.Address() != "[::1]:5060" {
		t.Errorf("listen = %+v", l)
	}
	if got := cfg.Proxy.Trusted; got[0] != netip.MustParsePrefix("10.2.3.4/32") || got[1] != netip.MustParsePrefix("fd00::/16") {
		t.Errorf("trusted = %v", got)
	}
	if cfg.Proxy.Advertise.Host != "::1" || cfg.UAC.Identity.Raw != "sip:rewatch@[::1]" {
		t.Errorf("advertise = %v, identity = %v", cfg.Proxy.Advertise, cfg.UAC.Identity)
	}
	if cfg.Dialogs.MaxExpires != 120 || !cfg.Dialogs.Signal.Notify || !cfg.Dialogs.Signal.Message {
		t.Errorf("dialogs = %+v", cfg.Dialogs)
	}
	if cfg.Policy.OnThreshold != policy.Ban || cfg.Policy.Count != policy.CountRecovery {
		t.Errorf("policy = %+v", cfg.Policy)
	}
	if cfg.Admin.Listen != "" || cfg.Process.LogLevel != zerolog.DebugLevel || cfg.Process.Drain != 10*time.Second {
		t.Errorf("admin = %+v, process = %+v", cfg.Admin, cfg.Process)
	}
	if h := cfg.Admin.Hosts; len(h) != 2 || h[0] != "rewatch.ims.example" || h[1] != "rewatch.svc" {
		t.Errorf("admin hosts = %q", h)
	}
	if cfg.UAC.Domains[0] != "ims.example" || cfg.UAC.Template() == nil {
		t.Errorf("uac = %+v", cfg.UAC)
	}
}

// TestWrong has one wrong variable in each case, and wants one line that names
// it and what would have been right.
func TestWrong(t *testing.T) {
	for _, c := range []struct {
		variable, value, want string
		more                  []string
	}{
		{"REWATCH_SERVER", "127.0.0.1:5070", "a SIP URI", nil},
		{"REWATCH_SERVER", "sip:10.0.0.300", "a SIP URI", nil},
		{"REWATCH_SERVER", "sip:h:0", "a SIP URI", nil},
		{"REWATCH_SERVER", "sip:h;transport=sctp", "udp, tcp or tls", nil},
		{"REWATCH_SERVER", "sips:h", "over udp or tcp", nil},
		{"REWATCH_SERVER", "sip:127.0.0.1:5062", "loop", nil},
		{"REWATCH_SERVER", "sip:127.0.0.1", "loop", nil},
		{"REWATCH_CORE", "sip:a,b", `wrong is "b"`, nil},
		{"REWATCH_CORE", "sip:a,,sip:b", "without empty entries", nil},
		{"REWATCH_LISTEN", "udp:5060", "udp://:5060", nil},
		{"REWATCH_LISTEN", "udp://:70000", "udp://:5060", nil},
		{"REWATCH_LISTEN", "udp://:5060,udp://10.0.0.1:5060", "clashes", nil},
		{"REWATCH_SERVER_LISTEN", "tls://:5062", "TLS is for the core side", nil},
		{"REWATCH_SERVER_LISTEN", "udp://:5060", "clashes", nil},
		{"REWATCH_ADVERTISE", "0.0.0.0", "a host that the core can reach", nil},
		{"REWATCH_ADVERTISE", "a b", "a host that the core can reach", nil},
		{"REWATCH_TRUSTED", "10.0.0.0/33", "CIDRs", nil},
		{"REWATCH_NOTIFY_TIMEOUT", "32s", "Timer F", nil},
		{"REWATCH_NOTIFY_TIMEOUT", "0s", "more than 0s", nil},
		{"REWATCH_NOTIFY_TIMEOUT", "28", "with its unit", nil},
		{"REWATCH_MAX_TRANSACTIONS", "0", "1 or more", nil},
		{"REWATCH_TLS_CERT", "/does/not/exist", "no such file", []string{"REWATCH_TLS_KEY", "/dev/null"}},
		{"REWATCH_TLS_CA", "/dev/null", "no certificate", nil},
		{"REWATCH_TLS_PEERS", "scscf.ims.example", "nothing without REWATCH_TLS_CA", nil},
		{"REWATCH_TLS_PEERS", "*.ims.example", "domain names without wildcard", nil},
		{"REWATCH_EVENTS", "presence,*", "* alone", nil},
		{"REWATCH_FAILURE", "all", "any or rfc", nil},
		{"REWATCH_ANSWER", "200", "481, passthrough or silent", nil},
		{"REWATCH_SIGNAL", "sms", "message, notify", nil},
		{"REWATCH_MAX_EXPIRES", "-1", "whole seconds", nil},
		{"REWATCH_REDELIVER", "-1s", "0s is off", nil},
		{"REWATCH_REDELIVER", "10", "a duration with its unit", nil},
		{"REWATCH_MAX_REDELIVER", "0", "because REWATCH_REDELIVER is on", []string{"REWATCH_REDELIVER", "10m"}},
		{"REWATCH_THRESHOLD", "0", "1 or more", nil},
		{"REWATCH_THRESHOLD", "three", "a whole number", nil},
		{"REWATCH_COUNT", "call", "registration or recovery", nil},
		{"REWATCH_ON_THRESHOLD", "kill", "deregister, ban or unsubscribe", nil},
		{"REWATCH_BAN", "0s", "REWATCH_ON_THRESHOLD=ban", []string{"REWATCH_ON_THRESHOLD", "ban"}},
		{"REWATCH_RESUBSCRIBE_TIMEOUT", "-1s", "more than 0s", nil},
		{"REWATCH_MESSAGE_TYPE", "text", "content type", nil},
		{"REWATCH_MESSAGE_TEMPLATE", "{{", "unclosed action", nil},
		{"REWATCH_MESSAGE_TEMPLATE", "@/does/not/exist", "no such file", nil},
		{"REWATCH_MESSAGE_RATE", "NaN", "above 0", nil},
		{"REWATCH_OUTAGE_RATIO", "0", "above 0", nil},
		{"REWATCH_OUTAGE_RATIO", "1.1", "up to 1", nil},
		{"REWATCH_OUTAGE_RATIO", "NaN", "above 0", nil},
		{"REWATCH_OUTAGE_WINDOW", "500ms", "from 1s", nil},
		{"REWATCH_OUTAGE_WINDOW", "6m", "to 5m", nil},
		{"REWATCH_DEREGISTER_CAP", "-1", "per hour", nil},
		{"REWATCH_DEREGISTER_RATE", "0", "above 0", nil},
		{"REWATCH_DEREGISTER", "some", "contact or all", nil},
		{"REWATCH_DOMAINS", "a b", "domain names", nil},
		{"REWATCH_DEREGISTER_HOOK", "DELETE", "METHOD URL", nil},
		{"REWATCH_DEREGISTER_HOOK", "DELETE ftp://h/{aor}", "a URL such as", nil},
		{"REWATCH_DEREGISTER_HOOK", "DELETE {aor}", "a URL such as", nil},
		{"REWATCH_DEREGISTER_HOOK_BODY", "{", "JSON", []string{"REWATCH_DEREGISTER_HOOK", "POST http://h"}},
		{"REWATCH_DEREGISTER_HOOK_BODY", "@/does/not/exist", "no such file", []string{"REWATCH_DEREGISTER_HOOK", "POST http://h"}},
		{"REWATCH_DEREGISTER_HOOK_TOKEN_FILE", "/does/not/exist", "no such file", []string{"REWATCH_DEREGISTER_HOOK", "POST http://h"}},
		{"REWATCH_HEADERS", "no field", "no header field", nil},
		{"REWATCH_HEADERS", "Via: SIP/2.0/UDP 10.0.0.1", "rewatch sets itself", nil},
		{"REWATCH_HEADERS", "@/does/not/exist", "no such file", nil},
		{"REWATCH_DRY_RUN", "maybe", "true or false", nil},
		{"REWATCH_AUTH_PASSWORD_FILE", "/does/not/exist", "no such file", nil},
		{"REWATCH_STATE", "redis:x", "memory:", nil},
		{"REWATCH_STATE", "redis+sentinel://h", "name of the master", nil},
		{"REWATCH_STATE", "file:", "a path after file:", nil},
		{"REWATCH_STATE_SYNC", "-1s", "100ms", nil},
		{"REWATCH_ALARM_ALERTMANAGER", "am:9093", "http://", nil},
		{"REWATCH_ALARM_WEBHOOK", "ftp://h", "http://", nil},
		{"REWATCH_ALARM_SNMP", "nms.example", "host:port", nil},
		{"REWATCH_ALARM_SNMP", "nms:0", "host:port", nil},
		{"REWATCH_ALARM_SNMP", "nms:162,", "without empty entries", nil},
		{"REWATCH_ALARM_SNMP_OID", "32473", "1.3.6.1.4.1", nil},
		{"REWATCH_ALARM_SNMP_AUTH_PROTOCOL", "sha1", "sha384 or sha512", nil},
		{"REWATCH_ALARM_SNMP_PRIV_PROTOCOL", "3des", "des, aes", nil},
		{"REWATCH_ALARM_SNMP_AUTH_KEY_FILE", "/does/not/exist", "no such file", []string{"REWATCH_ALARM_SNMP", "nms:162", "REWATCH_ALARM_SNMP_USER", "noc"}},
		{"REWATCH_ALARM_SNMP_ENGINE_ID", "8000", "5 to 32 octets", nil},
		{"REWATCH_HEP", "homer", "host:port", nil},
		{"REWATCH_HEP", "0.0.0.0:9060", "host:port", nil},
		{"REWATCH_CAPTURE", "1000", "1MiB to 16GiB", nil},
		{"REWATCH_CAPTURE", "17GiB", "1MiB to 16GiB", nil},
		{"REWATCH_CAPTURE", "much", "a size", nil},
		{"REWATCH_HEP_ID", "-1", "4294967295", nil},
		{"REWATCH_ADMIN_LISTEN", "", "off", nil},
		{"REWATCH_ADMIN_LISTEN", "9090", "host:port", nil},
		{"REWATCH_ADMIN_HOSTS", "rewatch:9090", "host names", nil},
		{"REWATCH_ADMIN_LISTEN", ":5060", "clashes", nil},
		{"REWATCH_DRAIN", "-1s", "a duration", nil},
		{"REWATCH_LOG_LEVEL", "loud", "trace, debug", nil},
		{"REWATCH_LOG_LEVEL", "fatal", "trace, debug", nil},
		{"REWATCH_LOG_USERS", "hash", "clear or pseudonym", nil},
		{"REWATCH_LOG_USERS", "clear", "REWATCH_LOG_USERS_KEY is set", []string{"REWATCH_LOG_USERS_KEY", "0123456789abcdef"}},
		{"REWATCH_LOG_FORMAT", "xml", "json or console", nil},
		{"POD_IP", "pod", "an IP address", nil},
	} {
		t.Run(c.variable+"="+c.value, func(t *testing.T) {
			mistakes := mistakesOf(t, with(append(c.more, c.variable, c.value)...))
			if len(mistakes) != 1 {
				t.Fatalf("%d mistakes:\n%v", len(mistakes), mistakes)
			}
			line := mistakes[0].Error()
			if want := fmt.Sprintf("%s=%q: want ", c.variable, c.value); !strings.HasPrefix(line, want) || !strings.Contains(line, c.want) {
				t.Errorf("%s\nwant it to start with %q and to contain %q", line, want, c.want)
			}
		})
	}
}

func mistakesOf(t *testing.T, environ cli.Environ) Mistakes {
	t.Helper()
	_, err := Load(environ)
	mistakes, ok := errors.AsType[Mistakes](err)
	if !ok {
		t.Fatalf("error = %v, want Mistakes", err)
	}
	return mistakes
}

func TestAllMistakesAtOnce(t *testing.T) {
	mistakes := mistakesOf(t, cli.Environ{
		"REWATCH_LISTEN":        "tls://:5061",
		"REWATCH_THRESHOLD":     "x",
		"REWATCH_TRESHOLD":      "3",
		"REWATCH_BAN":           "soon",
		"REWATCH_AUTH_PASSWORD": "geheim",
	})
	var names []string
	for _, m := range mistakes {
		names = append(names, m.Variable)
	}
	const want = "REWATCH_SERVER REWATCH_TLS_CERT REWATCH_TLS_KEY REWATCH_THRESHOLD REWATCH_BAN REWATCH_AUTH_USER REWATCH_TRESHOLD"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("mistakes on\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(mistakes.Error(), "geheim") {
		t.Error("the password is shown")
	}
	if line := mistakes[len(mistakes)-1].Error(); line != "REWATCH_TRESHOLD is not known: the nearest known name is REWATCH_THRESHOLD" {
		t.Error(line)
	}
}

// TestServiceLinks: Kubernetes adds these to every container of a namespace
// with a Service called rewatch.
func TestServiceLinks(t *testing.T) {
	links := []string{
		"REWATCH_SERVICE_HOST", "10.96.0.7",
		"REWATCH_SERVICE_PORT", "9090", "REWATCH_SERVICE_PORT_ADMIN", "9090",
		"REWATCH_PORT", "tcp://10.96.0.7:9090",
		"REWATCH_PORT_9090_TCP_ADDR", "10.96.0.7",
	}
	mustLoad(t, with(links...))
	if got := mistakesOf(t, with(links[2:]...)); len(got) != 4 {
		t.Errorf("without the Service: %v", got)
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := mustLoad(t, with("REWATCH_ADMIN_TOKEN_FILE", file))
	if cfg.Admin.Token.Reveal() != "s3cret" {
		t.Errorf("token = %q", cfg.Admin.Token.Reveal())
	}
	if shown := fmt.Sprintf("%v %+v %#v", cfg, cfg.Admin, cfg.Admin.Token); strings.Contains(shown, "s3cret") {
		t.Error("the token is shown:", shown)
	}
	if got := mistakesOf(t, with("REWATCH_ADMIN_TOKEN_FILE", file, "REWATCH_ADMIN_TOKEN", "x")); len(got) != 1 {
		t.Errorf("both: %v", got)
	}
	if got := mistakesOf(t, with("REWATCH_ADMIN_TOKEN_FILE", os.DevNull)); len(got) != 1 {
		t.Errorf("empty: %v", got)
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"TRESHOLD", "THRESHOLD", 1}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// FuzzParseURI: whatever is accepted can be taken apart and stays one line.
func FuzzParseURI(f *testing.F) {
	for _, s := range []string{"sip:h", "sips:u@[::1]:5061;lr", "sip:", "sip:@h", "sip:h:", "sip:[::1", "sip:u:p@h;transport=tcp"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseURI(s)
		if err == nil && (!validHost(u.Host) || u.Port < 0 || u.Port > 65535 || strings.ContainsAny(u.Raw, "\r\n <>")) {
			t.Errorf("%q became %+v", s, u)
		}
	})
}

// No password and no key of a webhook is shown, whatever is wrong with the value.
func TestSecretsAreNotShown(t *testing.T) {
	for value, want := range map[string]string{
		"https://hooks.example/services/T0/B0/s3cret": "https://hooks.example/******",
		"http://me:s3cret@h:9093":                     "http://******@h:9093",
		"http://h/,https://u:s3cret@k/s3cret?s3cret":  "http://h/,https://******@k/******",
		"http://h?token=s3cret":                       "http://h/******",
		"DELETE http://h:1/impu/{aor}":                "DELETE http://h:1/******",
		"redis://u:s3cret@h/1":                        "redis://******@h/1",
		"sip:bob:s3cret@10.0.0.1:5060":                "sip:bob:******@10.0.0.1:5060",
		"SIPS:bob:s3cret@h":                           "SIPS:bob:******@h",
		"bob:s3cret@10.0.0.1":                         "bob:******@10.0.0.1",
		"tcp://bob:s3cret@h":                          "tcp://bob:******@h",
		"sip:alice@ims.example":                       "sip:alice@ims.example",
		"sip:[::1]:5060, sip:b@h:5060":                "sip:[::1]:5060, sip:b@h:5060",
		"udp://:5060,tcp://10.0.0.1:5060":             "udp://:5060,tcp://10.0.0.1:5060",
	} {
		if got := WithoutSecrets(value); got != want {
			t.Errorf("%s is shown as %s, want %s", value, got, want)
		}
	}
	for _, environ := range []cli.Environ{
		{"REWATCH_SERVER": "sip:bob:s3cret@10.0.0.300"},
		{"REWATCH_SERVER": "http://bob:s3cret@h"},
		{"REWATCH_SERVER": "bob:s3cret@h"},
		with("REWATCH_ALARM_WEBHOOK", "https://h/s3cret,ftp://x"), with("REWATCH_DEREGISTER_HOOK", "DELETE http://u:s3cret@h/s3cret/{name}"),
	} {
		if text := mistakesOf(t, environ).Error(); strings.Contains(text, "s3cret") {
			t.Errorf("it says %s", text)
		}
	}
}

func TestOwnRequests(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	body := filepath.Join(t.TempDir(), "body.json")
	if err := errors.Join(os.WriteFile(token, []byte("s3cret\n"), 0o600), os.WriteFile(body, []byte(`{"user":"{aor}"}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	cfg := mustLoad(t, with(
		"REWATCH_DEREGISTER_HOOK", "POST https://scscf/{aor}", "REWATCH_DEREGISTER_HOOK_BODY", "@"+body, "REWATCH_DEREGISTER_HOOK_TOKEN_FILE", token,
		"REWATCH_HEADERS", "Feature-Caps: *;+g.x\nP-Asserted-Service: urn:x", "REWATCH_INSTANCE", "blue",
	))
	if cfg.UAC.HookToken.Reveal() != "s3cret" || cfg.UAC.HookBody != `{"user":"{aor}"}` || cfg.State.Instance != "blue" {
		t.Errorf("%+v", cfg.UAC)
	}
	if h := cfg.UAC.OwnHeaders(); len(h) != 2 || h[0].Name != "Feature-Caps" {
		t.Errorf("%v", h)
	}
	mistakes := mistakesOf(t, with("REWATCH_DEREGISTER_HOOK_TOKEN", "a b"))
	if !strings.Contains(mistakes.Error(), "REWATCH_DEREGISTER_HOOK is not set") {
		t.Error(mistakes)
	}
	if m := mistakesOf(t, with("REWATCH_DEREGISTER_HOOK", "POST http://h", "REWATCH_DEREGISTER_HOOK_TOKEN", "a b")); strings.Contains(m.Error(), "a b") {
		t.Error(m)
	}
}

func TestPseudonyms(t *testing.T) {
	if cfg := mustLoad(t, with()); cfg.Process.Pseudonyms() != nil {
		t.Error("without being asked")
	}
	cfg := mustLoad(t, with("REWATCH_LOG_USERS", "pseudonym", "REWATCH_LOG_USERS_KEY", "0123456789abcdef"))
	if got := cfg.Process.Pseudonyms().Of("sip:alice@ims.example"); strings.Contains(got, "alice") {
		t.Error(got)
	}
	for _, key := range []string{"", "short"} {
		if m := mistakesOf(t, with("REWATCH_LOG_USERS", "pseudonym", "REWATCH_LOG_USERS_KEY", key)); !strings.Contains(m.Error(), "16 characters") {
			t.Error(m)
		}
	}
}
