//go:build integration

package integration

import (
	"maps"
	"os"
	"strings"
	"testing"
)

// A trapd is a running snmptrapd. It writes each notification as one line.
type trapd struct {
	*process
	addr string
}

// startTrapd starts a real snmptrapd that takes the community "public", and the
// user "noc" from the engine of rewatch (traps) and from its own (INFORMs).
func (s *site) startTrapd() *trapd {
	s.t.Helper()
	cfg := s.write("snmptrapd.conf", `authCommunity log public
createUser -e 0x80007ed90472657761746368 noc SHA-256 "authentic key" AES "private key"
createUser noc SHA-256 "authentic key" AES "private key"
authUser log noc priv
`)
	d := &trapd{addr: s.ip(61) + ":1162"}
	d.process = s.start("snmptrapd", []string{"SNMP_PERSISTENT_DIR=" + s.file("snmp"), "MIBS="}, "snmptrapd",
		"-f", "-C", "-c", cfg, "-Lf", s.file("traps.log"), "-On", "-OQ", "-F", `%P %V;%v\n`, "udp:"+d.addr)
	eventually(s.t, patience, "snmptrapd listens", func() bool {
		d.running()
		return listens(d.addr, "u1")
	})
	return d
}

// traps are the notifications of a kind (1 raised, 2 cleared) for an alarm.
func (s *site) traps(kind, name string) []string {
	var list []string
	log, _ := os.ReadFile(s.file("traps.log"))
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, ".1.3.6.1.4.1.32473.5060.0."+kind+";") && strings.Contains(line, ".5060.1.2.0 = "+quote(name)) {
			list = append(list, line)
		}
	}
	return list
}

// TestSNMP: the server is down, and is back; snmptrapd hears of both, once.
func TestSNMP(t *testing.T) {
	t.Parallel()
	v3 := env{
		"REWATCH_ALARM_SNMP_USER": "noc", "REWATCH_ALARM_SNMP_AUTH_KEY": "authentic key",
		"REWATCH_ALARM_SNMP_PRIV_KEY": "private key",
	}
	for name, c := range map[string]struct {
		extra env
		says  string // how snmptrapd calls it
	}{
		"v2c trap":   {nil, "TRAP2, SNMP v2c, community public"},
		"v2c inform": {env{"REWATCH_ALARM_SNMP_INFORM": "true"}, "INFORM, SNMP v2c, community public"},
		"v3 trap":    {v3, "TRAP2, SNMP v3, user noc"},
		"v3 inform":  {with(v3, "REWATCH_ALARM_SNMP_INFORM", "true"), "INFORM, SNMP v3, user noc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			d := s.startTrapd()
			server := s.startNotifier()
			s.startRewatch(with(c.extra, "REWATCH_ALARM_SNMP", d.addr))
			server.close()
			eventually(t, 3*patience, "the raise", func() bool { return len(s.traps("1", "server-down")) == 1 })
			s.startNotifier()
			eventually(t, 3*patience, "the clear", func() bool { return len(s.traps("2", "server-down")) == 1 })
			raise, clear := s.traps("1", "server-down")[0], s.traps("2", "server-down")[0]
			id := value(raise, "1.0")
			if !strings.Contains(raise, c.says) || id == "" || value(raise, "6.0") != "3" || value(raise, "9.0") != "" ||
				!strings.Contains(value(raise, "3.0"), s.ip(40)) {
				t.Errorf("raise: %s", raise)
			}
			if !strings.Contains(clear, c.says) || value(clear, "1.0") != id || value(clear, "6.0") != "1" || value(clear, "9.0") == "" {
				t.Errorf("clear: %s", clear)
			}
			if n := len(s.traps("1", "server-down")); n != 1 {
				t.Errorf("raised %d times", n)
			}
		})
	}
}

// TestSNMPAfterRestart: a manager that knows the engine of a former rewatch takes
// the traps of the next one too, whose clock must not have gone back.
func TestSNMPAfterRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.startTrapd()
	extra := env{
		"REWATCH_ALARM_SNMP": d.addr, "REWATCH_ALARM_SNMP_USER": "noc",
		"REWATCH_ALARM_SNMP_AUTH_KEY": "authentic key", "REWATCH_ALARM_SNMP_PRIV_KEY": "private key",
	}
	for n := 1; n <= 2; n++ {
		server := s.startNotifier()
		r := s.startRewatch(extra)
		server.close()
		eventually(t, 3*patience, "the raise", func() bool { return len(s.traps("1", "server-down")) == n })
		r.stop()
	}
}

// value is that of an object of REWATCH-MIB in a line of snmptrapd.
func value(line, object string) string {
	_, rest, _ := strings.Cut(line, ".5060.1."+object+" = ")
	v, _, _ := strings.Cut(rest, ";")
	return strings.TrimSpace(v)
}

func quote(s string) string { return `"` + s + `"` }

// with is an environment with one more variable.
func with(e env, name, value string) env {
	e = maps.Clone(e)
	if e == nil {
		e = env{}
	}
	e[name] = value
	return e
}
