package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rewatch/policy/alarm/snmp"
)

func TestSNMPValues(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("long enough\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v2 := mustLoad(t, with("REWATCH_ALARM_SNMP", "nms:162, [fd00::7]:1162")).SNMP
	if len(v2.Managers) != 2 || v2.Managers[1].Host != "fd00::7" || v2.Community.Reveal() != "public" || v2.OID != snmp.DefaultOID || v2.EngineID != snmp.DefaultEngineID {
		t.Errorf("%+v", v2)
	}
	sinks := v2.Sinks(time.Now())
	if len(sinks) != 2 || sinks[1].Name() != "snmp [fd00::7]:1162" {
		t.Errorf("%v", sinks)
	}
	v3 := mustLoad(t, with("REWATCH_ALARM_SNMP", "nms:162", "REWATCH_ALARM_SNMP_USER", "noc", "REWATCH_ALARM_SNMP_AUTH_KEY_FILE", key)).SNMP
	if v3.AuthKey.Reveal() != "long enough" || v3.AuthProtocol != "sha256" {
		t.Errorf("%+v", v3)
	}
}

// TestSNMPMistakes has what is wrong only together with other variables.
func TestSNMPMistakes(t *testing.T) {
	const p = "REWATCH_ALARM_SNMP"
	for name, c := range map[string]struct {
		environ   []string
		wrong     string
		mustSay   string
		mustNotBe string
	}{
		"community without manager": {[]string{p + "_COMMUNITY", "geheim"}, p, "host:port", "geheim"},
		"user without manager":      {[]string{p + "_USER", "noc", p + "_AUTH_KEY", "geheim-geheim"}, p, "host:port", "geheim"},
		"user without key":          {[]string{p, "nms:162", p + "_USER", "noc"}, p + "_AUTH_KEY", "is not set", ""},
		"encryption alone":          {[]string{p, "nms:162", p + "_USER", "noc", p + "_PRIV_KEY", "geheim-geheim"}, p + "_AUTH_KEY", "is not set", "geheim"},
		"keys without user":         {[]string{p, "nms:162", p + "_AUTH_KEY", "geheim-geheim"}, p + "_USER", "belong to", "geheim"},
		"short key":                 {[]string{p, "nms:162", p + "_USER", "noc", p + "_AUTH_KEY", "geheim"}, p + "_AUTH_KEY", "8 characters", "geheim"},
		"v2c and v3":                {[]string{p, "nms:162", p + "_USER", "noc", p + "_AUTH_KEY", "geheim-geheim", p + "_COMMUNITY", "geheim"}, p + "_COMMUNITY", "v3", "geheim"},
	} {
		t.Run(name, func(t *testing.T) {
			mistakes := mistakesOf(t, with(c.environ...))
			text := mistakes.Error()
			if len(mistakes) != 1 || mistakes[0].Variable != c.wrong || !strings.Contains(text, c.mustSay) {
				t.Errorf("%s", text)
			}
			if c.mustNotBe != "" && strings.Contains(text, c.mustNotBe) {
				t.Errorf("a secret is shown: %s", text)
			}
		})
	}
}

// TestSNMPProtocols: every protocol that package snmp knows may be chosen and stands in the meaning
// of its variable, and no other.
func TestSNMPProtocols(t *testing.T) {
	for _, v := range Variables() {
		var words []string
		switch v.Name {
		case "REWATCH_ALARM_SNMP_AUTH_PROTOCOL":
			for _, p := range snmp.AuthProtocols() {
				words = append(words, string(p))
			}
		case "REWATCH_ALARM_SNMP_PRIV_PROTOCOL":
			for _, p := range snmp.PrivProtocols() {
				words = append(words, string(p))
			}
		default:
			continue
		}
		for _, word := range words {
			mustLoad(t, with(v.Name, word))
			if !strings.Contains(v.Doc, "'"+word+"'") {
				t.Errorf("%s does not name %s", v.Name, word)
			}
		}
		if len(words) < 6 {
			t.Errorf("%s has %d words", v.Name, len(words))
		}
		if m := mistakesOf(t, with(v.Name, "rot13")); !strings.Contains(m.Error(), " or "+words[len(words)-1]) {
			t.Error(m)
		}
	}
}
