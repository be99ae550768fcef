package snmp

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/gosnmp/gosnmp"

	"rewatch/policy/alarm"
)

const (
	// DefaultOID is rewatchMIB below the enterprise number that RFC 5612 sets
	// aside for documentation.
	DefaultOID = "1.3.6.1.4.1.32473.5060"
	// DefaultEngineID is of that enterprise too, with "rewatch" as text
	// (RFC 3411, SnmpEngineID, format 4).
	DefaultEngineID = "80007ed90472657761746368"
)

// An INFORM is sent four times at most. All of it ends before the ten seconds
// that package alarm gives to one delivery.
const (
	informTimeout = 2 * time.Second
	informRetries = 3
)

// Config says where notifications go, and how.
type Config struct {
	Host string
	Port uint16
	// OID is that of rewatchMIB; empty means DefaultOID.
	OID string
	// Inform asks the manager to acknowledge each notification.
	Inform bool
	// Community is for SNMPv2c, which is spoken unless User has a name.
	Community string
	User      User
	// Started is the zero of sysUpTime.
	Started time.Time
}

// sink tells one manager.
type sink struct{ cfg Config }

// New returns the Sink of one manager.
func New(cfg Config) alarm.Sink {
	if cfg.OID == "" {
		cfg.OID = DefaultOID
	}
	if cfg.User.EngineID == "" {
		cfg.User.EngineID = DefaultEngineID
	}
	return &sink{cfg}
}

func (s *sink) Name() string {
	return "snmp " + net.JoinHostPort(s.cfg.Host, strconv.Itoa(int(s.cfg.Port)))
}

func (s *sink) Deliver(ctx context.Context, a alarm.Alarm) error {
	session, err := s.session(ctx)
	if err != nil {
		return alarm.Permanent(err)
	}
	if err := session.Connect(); err != nil {
		return fmt.Errorf("snmp: %w", err)
	}
	defer session.Close() //nolint:errcheck // Nothing is left to be lost.
	answer, err := session.SendTrap(gosnmp.SnmpTrap{Variables: s.variables(a, time.Now()), IsInform: s.cfg.Inform})
	if err != nil {
		return fmt.Errorf("snmp: %w", err)
	}
	return s.judge(answer)
}

// judge looks at what the manager says to an INFORM. A Report is its way to say
// that it does not know the user, or not by this key.
func (s *sink) judge(answer *gosnmp.SnmpPacket) error {
	switch {
	case !s.cfg.Inform:
		return nil
	case answer == nil || answer.PDUType != gosnmp.GetResponse:
		return fmt.Errorf("snmp: the manager does not take INFORMs of user %q", s.cfg.User.Name)
	case answer.Error != gosnmp.NoError:
		return fmt.Errorf("snmp: the manager answered %s", answer.Error)
	}
	return nil
}

func (s *sink) session(ctx context.Context) (*gosnmp.GoSNMP, error) {
	g := &gosnmp.GoSNMP{
		Target: s.cfg.Host, Port: s.cfg.Port, Transport: "udp",
		Context: ctx, Timeout: informTimeout, Retries: informRetries,
		Version: gosnmp.Version2c, Community: s.cfg.Community,
	}
	if s.cfg.User.Name == "" {
		return g, nil
	}
	return g, s.cfg.User.apply(g, s.cfg.Inform, time.Now())
}
