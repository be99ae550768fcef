package config

import (
	"fmt"
	"math"
	"mime"
	"net"
	"net/netip"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/rs/zerolog"

	"rewatch/dialogs/agent"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/monitor"
	"rewatch/policy"
	"rewatch/policy/alarm/snmp"
)

// want is the error of a parser: the values that it accepts. The caller, who knows the variable and its
// value, writes them before it.
type want string

func (w want) Error() string { return string(w) }

// parsers turn the text of a variable into the type of its field, unless the type has an
// UnmarshalText, which package env prefers (see acceptedByType). Lists have parsers of their own,
// so that blanks around the commas do no harm.
var parsers = map[reflect.Type]env.ParserFunc{
	reflect.TypeFor[bool]():               typed(parseBool),
	reflect.TypeFor[int]():                typed(parseInt),
	reflect.TypeFor[float64]():            typed(parseFloat),
	reflect.TypeFor[time.Duration]():      typed(parseDuration),
	reflect.TypeFor[Seconds]():            typed(parseSeconds),
	reflect.TypeFor[Bytes]():              typed(parseBytes),
	reflect.TypeFor[URI]():                typed(parseURI),
	reflect.TypeFor[[]URI]():              typed(listOf(parseURI)),
	reflect.TypeFor[[]Listener]():         typed(listOf(parseListener)),
	reflect.TypeFor[[]HostName]():         typed(listOf(parseHostName)),
	reflect.TypeFor[HostPort]():           typed(parseHostPort),
	reflect.TypeFor[Receiver]():           typed(parseReceiver),
	reflect.TypeFor[[]Receiver]():         typed(listOf(parseReceiver)),
	reflect.TypeFor[[]netip.Prefix]():     typed(listOf(parsePrefix)),
	reflect.TypeFor[aor.Patterns]():       typed(parsePatterns),
	reflect.TypeFor[[]string]():           typed(listOf(parseText)),
	reflect.TypeFor[agent.Signal]():       typed(parseSignal),
	reflect.TypeFor[[]agent.Rule]():       typed(parseAgents),
	reflect.TypeFor[FailureMode]():        typed(oneOf(FailureAny, FailureRFC)),
	reflect.TypeFor[monitor.Answer]():     typed(named(monitor.Answer481, monitor.AnswerPassthrough, monitor.AnswerSilent)),
	reflect.TypeFor[DeregisterMode]():     typed(oneOf(DeregisterContact, DeregisterAll)),
	reflect.TypeFor[snmp.AuthProtocol]():  typed(oneOf(snmp.AuthProtocols()...)),
	reflect.TypeFor[snmp.PrivProtocol]():  typed(oneOf(snmp.PrivProtocols()...)),
	reflect.TypeFor[policy.CountMode]():   typed(named(policy.CountRegistration, policy.CountRecovery)),
	reflect.TypeFor[policy.OnThreshold](): typed(named(policy.Deregister, policy.Ban, policy.Unsubscribe)),
	reflect.TypeFor[policy.Patience]():    typed(named(policy.PatienceRefresh, policy.PatienceNone)),
	reflect.TypeFor[IdentityFrom]():       typed(oneOf(IdentityFromPAI, IdentityFromFrom)),
	reflect.TypeFor[LogUsers]():           typed(oneOf(LogUsersClear, LogUsersPseudonym)),
	reflect.TypeFor[LogFormat]():          typed(oneOf(LogJSON, LogConsole)),
}

func typed[T any](parse func(string) (T, error)) env.ParserFunc {
	return func(s string) (any, error) { return parse(strings.TrimSpace(s)) }
}

func listOf[T any](parse func(string) (T, error)) func(string) ([]T, error) {
	return func(s string) ([]T, error) {
		var list []T
		for part := range strings.SplitSeq(s, ",") {
			part = strings.TrimSpace(part)
			if part == "" {
				return nil, want("a comma-separated list without empty entries")
			}
			v, err := parse(part)
			if err != nil {
				return nil, fmt.Errorf("%w (wrong is %q)", err, part)
			}
			list = append(list, v)
		}
		return list, nil
	}
}

// oneOf takes the values of an enumeration of strings.
func oneOf[T ~string](values ...T) func(string) (T, error) {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = string(v)
	}
	return func(s string) (T, error) {
		if slices.Contains(words, s) {
			return T(s), nil
		}
		return "", want(alternatives(words))
	}
}

// named takes the values of an enumeration by their names.
func named[T fmt.Stringer](values ...T) func(string) (T, error) {
	return func(s string) (T, error) {
		words := make([]string, len(values))
		for i, v := range values {
			if words[i] = v.String(); words[i] == s {
				return v, nil
			}
		}
		var none T
		return none, want(alternatives(words))
	}
}

// alternatives joins words to "a, b or c".
func alternatives(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func parsePatterns(s string) (aor.Patterns, error) {
	list, err := listOf(aor.ParsePattern)(s)
	return list, err
}

func parseText(s string) (string, error) { return s, nil }

func parseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, want("true or false")
	}
	return b, nil
}

func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, want("a whole number")
	}
	return n, nil
}

func parseFloat(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, want("a number")
	}
	return f, nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, want("a duration with its unit, such as 500ms, 28s or 1h30m")
	}
	return d, nil
}

// parseBytes reads a size with a binary unit.
func parseBytes(s string) (Bytes, error) {
	shift := 0
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if rest, ok := strings.CutSuffix(s, unit); ok {
			s, shift = strings.TrimSpace(rest), 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return 0, want("a size such as '64MiB', '512KiB' or a number of bytes")
	}
	return Bytes(n << shift), nil
}

// parseSeconds takes a number of seconds as in SIP (3600), or a duration as in other variables (1h).
func parseSeconds(s string) (Seconds, error) {
	if n, err := strconv.Atoi(s); err == nil {
		return Seconds(n), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d%time.Second != 0 {
		return 0, want("whole seconds, such as 3600 or 1h; 0 is off")
	}
	return Seconds(d / time.Second), nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, want("CIDRs such as 10.0.0.0/8 or fd00::/8, comma-separated")
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// parseAgents reads "Linphone*=message, baresip*=message,notify": a word without a
// pattern belongs to the one before.
func parseAgents(s string) ([]agent.Rule, error) {
	var rules []agent.Rule
	for part := range strings.SplitSeq(s, ",") {
		pattern, word, ok := strings.Cut(part, "=")
		if !ok {
			word = part
		} else if pattern = strings.TrimSpace(pattern); pattern != "" {
			rules = append(rules, agent.Rule{Pattern: pattern})
		}
		signal, err := parseSignal(word)
		if _, bad := path.Match(pattern, ""); err != nil || bad != nil || ok && pattern == "" || len(rules) == 0 {
			return nil, want("PATTERN=message, PATTERN=notify or PATTERN=message,notify, comma-separated, such as Linphone*=message, baresip*=notify")
		}
		last := &rules[len(rules)-1].Signal
		last.Message, last.Notify = last.Message || signal.Message, last.Notify || signal.Notify
	}
	return rules, nil
}

const wantLevel = want("trace, debug, info, warn or error")

// ParseLevel reads a level of the log, in letters of either case.
func ParseLevel(s string) (zerolog.Level, error) {
	level, err := zerolog.ParseLevel(s)
	if err != nil || level < zerolog.TraceLevel || level > zerolog.ErrorLevel {
		return level, wantLevel
	}
	return level, nil
}

func parseSignal(s string) (agent.Signal, error) {
	var signal agent.Signal
	for part := range strings.SplitSeq(s, ",") {
		switch strings.TrimSpace(part) {
		case "message":
			signal.Message = true
		case "notify":
			signal.Notify = true
		default:
			return agent.Signal{}, want("message, notify or message,notify")
		}
	}
	return signal, nil
}

func parseListener(s string) (Listener, error) {
	const accepted = want("listeners such as udp://:5060, tcp://10.0.0.7:5060 or tls://[fd00::7]:5061, comma-separated")
	network, address, ok := strings.Cut(s, "://")
	if !ok || (network != "udp" && network != "tcp" && network != "tls") {
		return Listener{}, accepted
	}
	host, port, err := SplitHostPort(address)
	if err != nil {
		return Listener{}, accepted
	}
	return Listener{Network: network, Host: host, Port: port}, nil
}

// SplitHostPort splits host:port. An empty host stands for every address.
func SplitHostPort(s string) (string, int, error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, err
	}
	if host != "" && !validHost(host) {
		return "", 0, fmt.Errorf("host %q", host)
	}
	return host, int(port), nil
}

func parseHostPort(s string) (HostPort, error) {
	const accepted = want("a host that the core can reach, with or without a port, such as 10.0.0.7, rewatch.example:5060 or [fd00::7]:5060")
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return usable(HostPort{Host: s}, accepted)
	}
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		if inner = strings.TrimSuffix(inner, "]"); validHost(inner) {
			return usable(HostPort{Host: inner}, accepted)
		}
	}
	if !strings.Contains(s, ":") && validHost(s) {
		return usable(HostPort{Host: s}, accepted)
	}
	host, port, err := SplitHostPort(s)
	if err != nil || host == "" || port == 0 {
		return HostPort{}, accepted
	}
	return usable(HostPort{Host: host, Port: port}, accepted)
}

const wantReceiver = "host:port such as host.example:162 or [fd00::7]:162"

func parseReceiver(s string) (Receiver, error) {
	host, port, err := SplitHostPort(s)
	if err != nil || host == "" || port == 0 {
		return Receiver{}, want(wantReceiver)
	}
	h, err := usable(HostPort{Host: host, Port: port}, wantReceiver)
	return Receiver{h}, err
}

func parseHostName(s string) (HostName, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if !validHost(name) {
		return "", want("host names without a port, such as rewatch.ims.example")
	}
	return HostName(name), nil
}

// usable refuses 0.0.0.0 and ::, to which nothing can be sent.
func usable(h HostPort, accepted want) (HostPort, error) {
	if a, err := netip.ParseAddr(h.Host); err == nil {
		a = a.Unmap()
		if h.Host = a.String(); a.IsUnspecified() {
			return HostPort{}, accepted
		}
	}
	return h, nil
}

// validURL says whether a text is a URL of HTTP with a host, as the sinks of alarms need it.
func validURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Hostname() != ""
}

func validMediaType(s string) bool {
	kind, _, err := mime.ParseMediaType(s)
	return err == nil && strings.Contains(kind, "/") && !strings.ContainsAny(s, "\r\n")
}
