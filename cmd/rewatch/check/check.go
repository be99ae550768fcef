// Package check is "rewatch check": it looks at what the configuration names (files,
// host names, the state store) without listening anywhere.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"rewatch/cmd/rewatch/budget"
	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
)

// lookupTime is how long a name server may take for all names together.
const lookupTime = 10 * time.Second

// Command is "rewatch check". It checks the values of the variables, the files that they name, and
// the host names in them, and prints one line for each. It does not listen. If anything is wrong, the
// error is cli.ErrReported. It is for a pipeline, an init container, or a person at a terminal.
func Command(ctx context.Context, c cli.Call) error {
	if err := c.NoArguments("check"); err != nil {
		return err
	}
	cfg, err := config.Load(c.Environ)
	if mistakes, ok := errors.AsType[config.Mistakes](err); ok {
		return writeReport(c.Stdout, wrongValues(mistakes))
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	return writeReport(c.Stdout, inspect(ctx, cfg, net.DefaultResolver))
}

// finding is one line of the report. For a wrong value the subject is empty, because the detail
// begins with the variable.
type finding struct {
	ok      bool
	subject string // the variable, in most cases
	detail  string
}

func wrongValues(mistakes config.Mistakes) []finding {
	var all []finding
	for _, m := range mistakes {
		all = append(all, finding{detail: m.Error()})
	}
	return all
}

// writeReport prints the findings. It returns cli.ErrReported if one of them is not ok.
func writeReport(w io.Writer, findings []finding) error {
	width, troubles := 0, 0
	for _, f := range findings {
		width = max(width, len(f.subject))
		if !f.ok {
			troubles++
		}
	}
	var b strings.Builder
	for _, f := range findings {
		mark := "ok   "
		if !f.ok {
			mark = "WRONG"
		}
		if f.subject != "" {
			mark = fmt.Sprintf("%s  %-*s", mark, width, f.subject)
		}
		fmt.Fprintf(&b, "%s  %s\n", mark, f.detail)
	}
	b.WriteString(conclusion(troubles))
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if troubles > 0 {
		return cli.ErrReported
	}
	return nil
}

func conclusion(troubles int) string {
	switch troubles {
	case 0:
		return "The configuration is good.\n"
	case 1:
		return "1 thing is wrong.\n"
	default:
		return fmt.Sprintf("%d things are wrong.\n", troubles)
	}
}

// resolver is the part of net.Resolver that is needed.
type resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// inspect checks the names and addresses in a configuration, the state store and the memory.
// config.Load has checked the values, the files, the template and the TLS pair before.
func inspect(ctx context.Context, cfg config.Config, names resolver) []finding {
	all := []finding{nextHop(ctx, "REWATCH_SERVER", cfg.Proxy.Server, names)}
	for _, hop := range cfg.Proxy.Core {
		all = append(all, nextHop(ctx, "REWATCH_CORE", hop, names))
	}
	for _, l := range cfg.Proxy.Listen {
		all = append(all, local(ctx, "REWATCH_LISTEN", l.String(), l.Host, names))
	}
	for _, l := range cfg.Proxy.ServerListen {
		all = append(all, local(ctx, "REWATCH_SERVER_LISTEN", l.String(), l.Host, names))
	}
	all = append(all, host(ctx, "REWATCH_ADVERTISE", cfg.Proxy.Advertise.String(), cfg.Proxy.Advertise.Host, names))
	if cfg.TLS.Cert != "" {
		all = append(all, finding{true, "REWATCH_TLS_CERT", cfg.TLS.Cert + " fits its key"})
	}
	if cfg.UAC.MessageTemplate != "" {
		all = append(all, finding{true, "REWATCH_MESSAGE_TEMPLATE", "parses"})
	}
	all = append(all, identityFinding(cfg.Dialogs.IdentityFrom), stateFinding(ctx, cfg), memoryFinding(cfg, budget.Limit()))
	if cfg.Dialogs.Redeliver > 0 {
		all = append(all, redeliverFinding(cfg.Dialogs))
	}
	if cfg.UAC.Hook != "" {
		all = append(all, hookFinding(cfg.UAC))
	}
	for _, sink := range cfg.Alarm.Alertmanager {
		all = append(all, sinkHost(ctx, "REWATCH_ALARM_ALERTMANAGER", sink, names))
	}
	for _, sink := range cfg.Alarm.Webhook {
		all = append(all, sinkHost(ctx, "REWATCH_ALARM_WEBHOOK", sink, names))
	}
	for _, m := range cfg.SNMP.Managers {
		all = append(all, host(ctx, "REWATCH_ALARM_SNMP", m.String(), m.Host, names))
	}
	if cfg.Admin.Listen != "" {
		name, _, _ := config.SplitHostPort(cfg.Admin.Listen)
		all = append(all, local(ctx, "REWATCH_ADMIN_LISTEN", cfg.Admin.Listen, name, names))
	}
	if cfg.HEP.Collector.Host != "" {
		all = append(all, host(ctx, "REWATCH_HEP", cfg.HEP.Collector.String(), cfg.HEP.Collector.Host, names))
	}
	return all
}

// FindServer looks up REWATCH_SERVER before a start. The error says that its name cannot be resolved.
// Then rewatch does not start: a name that cannot be resolved is nearly always a typing mistake.
func FindServer(ctx context.Context, cfg config.Config, names resolver) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	if f := nextHop(ctx, "REWATCH_SERVER", cfg.Proxy.Server, names); !f.ok {
		return fmt.Errorf("%s: %s", f.subject, f.detail)
	}
	return nil
}

// nextHop looks up a SIP server as in RFC 3263 4.2: if the URI has no port, by SRV records first,
// then by its address.
func nextHop(ctx context.Context, variable string, u config.URI, names resolver) finding {
	if u.Port == 0 && net.ParseIP(u.Host) == nil {
		for _, service := range srvServices(u) {
			_, records, err := names.LookupSRV(ctx, service.name, service.proto, u.Host)
			if err == nil && len(records) > 0 {
				return finding{true, variable, fmt.Sprintf("%s is %s (SRV _%s._%s)", u, strings.TrimSuffix(records[0].Target, "."), service.name, service.proto)}
			}
		}
	}
	return host(ctx, variable, u.String(), u.Host, names)
}

type srvService struct{ name, proto string }

func srvServices(u config.URI) []srvService {
	switch {
	case u.Scheme == "sips" || u.Transport == "tls":
		return []srvService{{"sips", "tcp"}}
	case u.Transport != "":
		return []srvService{{"sip", u.Transport}}
	default:
		return []srvService{{"sip", "udp"}, {"sip", "tcp"}}
	}
}

func sinkHost(ctx context.Context, variable, sink string, names resolver) finding {
	u, err := url.Parse(sink)
	if err != nil {
		return finding{false, variable, err.Error()} // config.Load has parsed it before
	}
	return host(ctx, variable, config.WithoutSecrets(sink), u.Hostname(), names)
}

// host looks up the addresses of a name. An address is a good finding without a look-up.
func host(ctx context.Context, variable, shown, name string, names resolver) finding {
	if net.ParseIP(name) != nil {
		return finding{true, variable, shown}
	}
	addresses, err := names.LookupHost(ctx, name)
	if err != nil {
		return finding{false, variable, shown + ": " + lookupTrouble(name, err)}
	}
	return finding{true, variable, shown + " is " + strings.Join(addresses, ", ")}
}

func lookupTrouble(name string, err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "the name " + name + " does not exist"
	}
	return "the name " + name + " cannot be resolved now (" + config.Cause(err) + ")"
}

// local says whether an address to listen on is one of this machine.
func local(ctx context.Context, variable, shown, name string, names resolver) finding {
	if config.Wildcard(name) {
		return finding{true, variable, shown}
	}
	found := host(ctx, variable, shown, name, names)
	if !found.ok {
		return found
	}
	addresses := []string{name}
	if net.ParseIP(name) == nil {
		addresses, _ = names.LookupHost(ctx, name)
	}
	if slices.ContainsFunc(addresses, isLocal) {
		return found
	}
	if slices.ContainsFunc(addresses, mayBind) {
		found.detail += ", not on this machine now, and may be used all the same (ip_nonlocal_bind)"
		return found
	}
	return finding{false, variable, shown + " is no address of this machine"}
}

// mayBind tells whether a socket can be bound to an address that this machine does not have, such
// as a virtual address that another machine has at the moment.
func mayBind(address string) bool {
	conn, err := net.ListenPacket("udp", net.JoinHostPort(address, "0")) //nolint:noctx // nothing is looked up
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func isLocal(address string) bool {
	ip := net.ParseIP(address)
	if ip.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return true // not known: if the address is wrong, the start fails
	}
	return slices.ContainsFunc(own, func(a net.Addr) bool {
		network, ok := a.(*net.IPNet)
		return ok && network.IP.Equal(ip)
	})
}
