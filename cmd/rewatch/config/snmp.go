package config

import (
	"regexp"
	"time"

	"rewatch/policy/alarm"
	"rewatch/policy/alarm/snmp"
)

// SNMPConfig configures package policy/alarm/snmp.
type SNMPConfig struct {
	Managers      []Receiver        `env:"ALARM_SNMP" doc:"host:port of SNMP managers, comma-separated; each gets a notification of REWATCH-MIB for every raise and clear, by v2c or, with a user, by v3"`
	Inform        bool              `env:"ALARM_SNMP_INFORM" envDefault:"false" doc:"send INFORMs, which the manager acknowledges, instead of traps, which may get lost"`
	OID           string            `env:"ALARM_SNMP_OID" envDefault:"1.3.6.1.4.1.32473.5060" doc:"object identifier of rewatchMIB, if the number for documentation was replaced there"`
	Community     Secret            `env:"ALARM_SNMP_COMMUNITY" show:"public" doc:"community, for v2c"`
	CommunityFile string            `env:"ALARM_SNMP_COMMUNITY_FILE" doc:"file to read the community from instead"`
	User          string            `env:"ALARM_SNMP_USER" doc:"user, for v3; needs an authentication key"`
	AuthProtocol  snmp.AuthProtocol `env:"ALARM_SNMP_AUTH_PROTOCOL" envDefault:"sha256" doc:"'md5', 'sha', 'sha224', 'sha256', 'sha384' or 'sha512'"`
	AuthKey       Secret            `env:"ALARM_SNMP_AUTH_KEY" doc:"passphrase for authentication, 8 characters or more"`
	AuthKeyFile   string            `env:"ALARM_SNMP_AUTH_KEY_FILE" doc:"file to read the passphrase from instead"`
	PrivProtocol  snmp.PrivProtocol `env:"ALARM_SNMP_PRIV_PROTOCOL" envDefault:"aes" doc:"'des', 'aes', 'aes192', 'aes256', 'aes192c' or 'aes256c' (c: keys as Cisco makes them)"`
	PrivKey       Secret            `env:"ALARM_SNMP_PRIV_KEY" doc:"passphrase for encryption, 8 characters or more; without one, notifications are only authenticated"`
	PrivKeyFile   string            `env:"ALARM_SNMP_PRIV_KEY_FILE" doc:"file to read the passphrase from instead"`
	EngineID      string            `env:"ALARM_SNMP_ENGINE_ID" envDefault:"80007ed90472657761746368" doc:"engine ID of rewatch (hexadecimal, 5 to 32 octets), which the manager has to know for v3 traps"`
}

var validOID = regexp.MustCompile(`^1\.3\.6\.1(\.\d{1,9})+$`)

func checkSNMP(in *inspection, c *Config) {
	s := &c.SNMP
	if len(s.Managers) == 0 && in.ok("REWATCH_ALARM_SNMP") && (s.User != "" || s.Community != "" || s.Inform) {
		in.reject("REWATCH_ALARM_SNMP", wantReceiver+", because other variables of SNMP are set")
	}
	if !validOID.MatchString(s.OID) {
		in.reject("REWATCH_ALARM_SNMP_OID", "an object identifier such as "+snmp.DefaultOID)
	}
	if s.User != "" && s.Community != "" {
		in.reject("REWATCH_ALARM_SNMP_COMMUNITY", "no community: it is for v2c, and REWATCH_ALARM_SNMP_USER asks for v3")
	}
	if _, err := snmp.ParseEngineID(s.EngineID); err != nil {
		in.reject("REWATCH_ALARM_SNMP_ENGINE_ID", "5 to 32 octets in hexadecimal, such as "+snmp.DefaultEngineID)
	}
	in.checkSNMPKeys(s)
}

func (in *inspection) checkSNMPKeys(s *SNMPConfig) {
	const user, auth, priv = "REWATCH_ALARM_SNMP_USER", "REWATCH_ALARM_SNMP_AUTH_KEY", "REWATCH_ALARM_SNMP_PRIV_KEY"
	if !in.ok(auth+"_FILE", priv+"_FILE") {
		return
	}
	if s.User == "" && (s.AuthKey != "" || s.PrivKey != "") {
		in.reject(user, "the user that the keys belong to")
	}
	if s.AuthKey == "" && (s.User != "" || s.PrivKey != "") {
		in.reject(auth, "the key of "+user+", here or in the file that "+auth+"_FILE names")
	}
	in.checkSNMPKey(auth, s.AuthKey)
	in.checkSNMPKey(priv, s.PrivKey)
}

func (in *inspection) checkSNMPKey(name string, key Secret) {
	if key != "" && len(key) < snmp.MinKey {
		in.reject(name, "8 characters or more (RFC 3414)")
	}
}

// Sinks returns one sink for each manager.
func (c SNMPConfig) Sinks(started time.Time) []alarm.Sink {
	var sinks []alarm.Sink
	for _, m := range c.Managers {
		sinks = append(sinks, snmp.New(snmp.Config{
			Host: m.Host, Port: uint16(m.Port), OID: c.OID, Inform: c.Inform,
			Community: c.Community.Reveal(), Started: started,
			User: snmp.User{
				Name:         c.User,
				AuthProtocol: c.AuthProtocol, AuthKey: c.AuthKey.Reveal(),
				PrivProtocol: c.PrivProtocol, PrivKey: c.PrivKey.Reveal(),
				EngineID: c.EngineID,
			},
		}))
	}
	return sinks
}
