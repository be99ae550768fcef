package config

import (
	"net"
	"strconv"
	"strings"
)

// HostName is a name in lower case, without a dot at its end.
type HostName string

// Listener is one address to listen on.
type Listener struct {
	Network string // "udp", "tcp" or "tls"
	Host    string // without brackets; empty: every address
	Port    int    // 0: any free one
}

// Address is what net.Listen takes, "[::1]:5060".
func (l Listener) Address() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

func (l Listener) String() string { return l.Network + "://" + l.Address() }

// Stream says whether the port is one of TCP, which TLS shares.
func (l Listener) Stream() bool { return l.Network != "udp" }

// HostPort is a host with a port that may be left out.
type HostPort struct {
	Host string // name or address, without brackets
	Port int    // 0: not given
}

// String is the form of a SIP sent-by: an IPv6 address has its brackets.
func (h HostPort) String() string {
	if h.Port != 0 {
		return net.JoinHostPort(h.Host, strconv.Itoa(h.Port))
	}
	if strings.Contains(h.Host, ":") {
		return "[" + h.Host + "]"
	}
	return h.Host
}

// Receiver is where something is sent to: host and port are both there.
type Receiver struct{ HostPort }

// URI is a SIP URI taken apart as far as finding the next hop needs it
// (RFC 3263).
type URI struct {
	Raw       string // as it was given
	Scheme    string // "sip" or "sips"
	User      string
	Host      string // name or address, without brackets
	Port      int    // 0: not given
	Transport string // "udp", "tcp", "tls"; empty: not given
}

func (u URI) String() string { return u.Raw }

// Secret is a value that is never shown: not in logs, errors, tables or JSON.
type Secret string

// Reveal gives the secret itself to the one who has to use it.
func (s Secret) Reveal() string { return string(s) }

const masked = "******"

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString keeps the secret out of %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps the secret out of JSON and of zerolog's Interface.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Bytes is a size.
type Bytes int64

// Seconds is an Expires: SIP counts in whole seconds.
type Seconds int

// FailureMode says which outcomes of a NOTIFY are failures (dialogs/DESIGN.md, "When a NOTIFY has failed").
type FailureMode string

// The failure modes.
const (
	FailureAny FailureMode = "any"
	FailureRFC FailureMode = "rfc"
)

// DeregisterMode says what a de-REGISTER removes.
type DeregisterMode string

// The modes: one Contact, or "Contact: *".
const (
	DeregisterContact DeregisterMode = "contact"
	DeregisterAll     DeregisterMode = "all"
)

// LogFormat is how a log line is written.
type LogFormat string

// The formats: for machines, and for people.
const (
	LogJSON    LogFormat = "json"
	LogConsole LogFormat = "console"
)

// IdentityFrom is what names a watcher; empty: what its neighbour asserts, as soon as that
// has asserted anything, before that From.
type IdentityFrom string

// P-Asserted-Identity alone, and From alone.
const (
	IdentityFromPAI  IdentityFrom = "pai"
	IdentityFromFrom IdentityFrom = "from"
)

// LogUsers is how users stand in logs and alarms.
type LogUsers string

// As they are, and as keyed hashes.
const (
	LogUsersClear     LogUsers = "clear"
	LogUsersPseudonym LogUsers = "pseudonym"
)
