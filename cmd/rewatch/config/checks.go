package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"rewatch/cmd/rewatch/webconfig"
	"rewatch/policy"
	"rewatch/proxy/uac"
)

// checks are the rules that the type of a field cannot express, in the order of the table of variables.
// None of them uses the network or a name server; "rewatch check" does.
var checks = []func(*inspection, *Config){
	checkServer,
	checkListeners,
	checkAddresses,
	checkTransactions,
	checkTLS,
	checkDialogs,
	checkPolicy,
	checkOutage,
	checkMessage,
	checkSignOut,
	checkHook,
	checkHeaders,
	checkCredentials,
	checkState,
	checkAlarm,
	checkSNMP,
	checkAdmin,
	checkHEP,
	checkProcess,
	checkUsers,
}

func checkServer(in *inspection, c *Config) {
	const name = "REWATCH_SERVER"
	if c.Proxy.Server.Raw == "" {
		in.reject(name, wantURI.Error())
		return
	}
	if c.Proxy.Server.Scheme == "sips" || c.Proxy.Server.Transport == "tls" {
		in.reject(name, "a SIP URI over udp or tcp: rewatch sits beside the server, TLS is for the core side")
	}
	for _, l := range slices.Concat(c.Proxy.Listen, c.Proxy.ServerListen) {
		if aimsAt(c.Proxy.Server, l) {
			in.reject(name, "the address of the server: this one is rewatch's own ("+l.String()+"), which would be a loop")
		}
	}
	for _, hop := range c.Proxy.Core {
		for _, l := range slices.Concat(c.Proxy.Listen, c.Proxy.ServerListen) {
			if aimsAt(hop, l) {
				in.reject("REWATCH_CORE", "addresses of the core: "+hop.Raw+" is rewatch's own, which would be a loop")
			}
		}
	}
}

// aimsAt says whether a next hop is a listener of rewatch itself. The host of the hop has to be an
// address. With a wildcard listener only loopback addresses are recognised, because the
// configuration does not tell which other addresses the machine has.
func aimsAt(u URI, l Listener) bool {
	port := u.Port
	if port == 0 {
		port = 5060
	}
	if l.Port == 0 || port != l.Port || (u.Transport == "udp") == l.Stream() && u.Transport != "" {
		return false
	}
	a, err := netip.ParseAddr(u.Host)
	if err != nil {
		return strings.EqualFold(u.Host, l.Host)
	}
	return sameHost(u.Host, l.Host) || Wildcard(l.Host) && a.IsLoopback()
}

func checkListeners(in *inspection, c *Config) {
	const core, server = "REWATCH_LISTEN", "REWATCH_SERVER_LISTEN"
	for _, l := range c.Proxy.ServerListen {
		if l.Network == "tls" {
			in.reject(server, "udp:// and tcp:// only: TLS is for the core side")
		}
	}
	for i, l := range c.Proxy.Listen {
		if j := slices.IndexFunc(c.Proxy.Listen[:i], l.clashes); j >= 0 {
			in.reject(core, "addresses that differ: "+l.String()+" clashes with "+c.Proxy.Listen[j].String())
		}
	}
	for i, l := range c.Proxy.ServerListen {
		if j := slices.IndexFunc(c.Proxy.ServerListen[:i], l.clashes); j >= 0 {
			in.reject(server, "addresses that differ: "+l.String()+" clashes with "+c.Proxy.ServerListen[j].String())
		}
		if j := slices.IndexFunc(c.Proxy.Listen, l.clashes); j >= 0 {
			in.reject(server, "addresses of its own: a request's side is its listener, and "+l.String()+" clashes with "+c.Proxy.Listen[j].String()+" of "+core)
		}
	}
}

// clashes says whether two listeners need the same port of the same address.
func (l Listener) clashes(other Listener) bool {
	return l.Port != 0 && l.Port == other.Port && l.Stream() == other.Stream() &&
		(Wildcard(l.Host) || Wildcard(other.Host) || sameHost(l.Host, other.Host))
}

// Wildcard says whether a host to listen on stands for every address.
func Wildcard(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "" || err == nil && a.IsUnspecified()
}

func sameHost(a, b string) bool {
	x, err1 := netip.ParseAddr(a)
	y, err2 := netip.ParseAddr(b)
	if err1 != nil || err2 != nil {
		return strings.EqualFold(a, b)
	}
	return x.Unmap() == y.Unmap()
}

func checkAddresses(in *inspection, c *Config) {
	if in.ok("REWATCH_TRUSTED") && len(c.Proxy.Trusted) == 0 {
		in.reject("REWATCH_TRUSTED", "at least one CIDR")
	}
	if c.Pod.IP.IsValid() && (c.Pod.IP.IsUnspecified() || c.Pod.IP.Zone() != "") {
		in.reject("POD_IP", "the IP address of the pod")
	}
}

func checkTransactions(in *inspection, c *Config) {
	const name = "REWATCH_NOTIFY_TIMEOUT"
	switch {
	case !in.ok(name):
	case c.Proxy.NotifyTimeout <= 0:
		in.reject(name, "more than 0s and less than 32s")
	case c.Proxy.NotifyTimeout >= policy.TimerF:
		in.reject(name, "less than 32s: by then the server's own Timer F has fired, and our answer would come too late to make it delete the subscription")
	}
	in.atLeastOne("REWATCH_MAX_TRANSACTIONS", c.Proxy.MaxTransactions)
	in.atLeastOne("REWATCH_MAX_SUBSCRIPTIONS", c.Dialogs.MaxSubscriptions)
	in.atLeastOne("REWATCH_MAX_PER_WATCHER", c.Dialogs.MaxPerWatcher)
	in.atLeastOne("REWATCH_MAX_CONNECTIONS", c.Proxy.MaxConnections)
	in.atLeastOne("REWATCH_MAX_CONNECTIONS_PER_PEER", c.Proxy.MaxPerPeer)
}

func (in *inspection) atLeastOne(name string, n int) {
	if n < 1 {
		in.reject(name, "a whole number of 1 or more")
	}
}

func (in *inspection) positive(name string, d time.Duration) {
	if d <= 0 {
		in.reject(name, "a duration of more than 0s, such as 30s")
	}
}

func checkDialogs(in *inspection, c *Config) {
	if c.Dialogs.MaxExpires < 0 || int64(c.Dialogs.MaxExpires) > 1<<32-1 {
		in.reject("REWATCH_MAX_EXPIRES", "whole seconds, such as 3600 or 1h; 0 is off")
	}
	if c.Dialogs.Redeliver < 0 {
		in.reject("REWATCH_REDELIVER", "a duration such as 10m; 0s is off")
	}
	if c.Dialogs.Redeliver > 0 && c.Dialogs.MaxRedeliver == 0 && in.ok("REWATCH_MAX_REDELIVER") {
		in.reject("REWATCH_MAX_REDELIVER", "more than 0, because REWATCH_REDELIVER is on")
	}
	if !(c.Dialogs.RecoverShare >= 0 && c.Dialogs.RecoverShare <= 100) { // NaN is in no range
		in.reject("REWATCH_RECOVER_SHARE", "a percentage from 0 to 100, such as 1 or 0.5")
	}
	for _, event := range c.Dialogs.Events {
		if event == "*" && len(c.Dialogs.Events) == 1 {
			continue
		}
		if !validToken(event) {
			in.reject("REWATCH_EVENTS", "event packages such as presence,dialog, or * alone for all of them")
		}
	}
}

// validToken is the token of RFC 3261 25.1, less the asterisk.
func validToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z'
		return !letter && (r < '0' || r > '9') && !strings.ContainsRune("-.!%_+`'~", r)
	})
}

func checkPolicy(in *inspection, c *Config) {
	in.atLeastOne("REWATCH_THRESHOLD", c.Policy.Threshold)
	if c.Policy.Ban < 0 {
		in.reject("REWATCH_BAN", "a duration such as 1h")
	}
	if c.Policy.OnThreshold == policy.Ban && c.Policy.Ban == 0 {
		in.reject("REWATCH_BAN", "more than 0s, because REWATCH_ON_THRESHOLD=ban")
	}
	if c.Policy.StrikeTTL < 0 {
		in.reject("REWATCH_STRIKE_TTL", "a duration such as 24h; 0s is as long as the registration")
	}
	in.positive("REWATCH_RESUBSCRIBE_TIMEOUT", c.Policy.ResubscribeTimeout)
	if c.Policy.Coalesce < 0 {
		in.reject("REWATCH_COALESCE", "a duration such as 500ms; 0s does not wait")
	}
}

// checkOutage checks the variables of outages. A ratio of 1 is never exceeded: then only a core that
// cannot be reached is an outage. NaN is refused too, because it is in no range.
func checkOutage(in *inspection, c *Config) {
	if r := c.Policy.OutageRatio; !(r > 0 && r <= 1) {
		in.reject("REWATCH_OUTAGE_RATIO", "a share above 0 and up to 1, such as 0.5")
	}
	if w := c.Policy.OutageWindow; w < time.Second || w > 5*time.Minute {
		in.reject("REWATCH_OUTAGE_WINDOW", "a duration from 1s to 5m")
	}
	if c.UAC.DeregisterCap < 0 {
		in.reject("REWATCH_DEREGISTER_CAP", "a whole number per hour; 0 is no cap")
	}
}

func checkMessage(in *inspection, c *Config) {
	if in.ok("REWATCH_MESSAGE_TYPE") && !validMediaType(c.UAC.MessageType) {
		in.reject("REWATCH_MESSAGE_TYPE", "a content type such as text/plain;charset=utf-8")
	}
	if _, err := uac.ParseTemplate(c.UAC.MessageTemplate); in.ok("REWATCH_MESSAGE_TEMPLATE") && err != nil {
		in.reject("REWATCH_MESSAGE_TEMPLATE", "a Go text/template that parses ("+strings.TrimPrefix(err.Error(), "template: ")+")")
	}
	in.rate("REWATCH_MESSAGE_RATE", c.UAC.MessageRate)
}

// rate rejects a rate that is not above 0, is above a million, or is NaN.
func (in *inspection) rate(name string, r float64) {
	const most = 1e6
	if !(r > 0 && r <= most) {
		in.reject(name, "a number per second above 0, such as 5 or 0.5")
	}
}

func checkSignOut(in *inspection, c *Config) {
	in.rate("REWATCH_DEREGISTER_RATE", c.UAC.DeregisterRate)
	for i, domain := range c.UAC.Domains {
		if !validHost(domain) {
			in.reject("REWATCH_DOMAINS", "domain names such as ims.example, comma-separated")
			continue
		}
		c.UAC.Domains[i] = strings.ToLower(strings.TrimSuffix(domain, "."))
	}
}

func checkCredentials(in *inspection, c *Config) {
	const user, password = "REWATCH_AUTH_USER", "REWATCH_AUTH_PASSWORD" //nolint:gosec // Names, not values.
	if !in.ok(user, password, password+"_FILE") {
		return
	}
	if c.UAC.AuthUser != "" && c.UAC.AuthPassword == "" {
		in.reject(password, "the password of "+user+", here or in the file that "+password+"_FILE names")
	}
	if c.UAC.AuthUser == "" && c.UAC.AuthPassword != "" {
		in.reject(user, "the user that "+password+" belongs to")
	}
}

func checkAlarm(in *inspection, c *Config) {
	for name, urls := range map[string][]string{"REWATCH_ALARM_ALERTMANAGER": c.Alarm.Alertmanager, "REWATCH_ALARM_WEBHOOK": c.Alarm.Webhook} {
		if slices.ContainsFunc(urls, func(s string) bool { return !validURL(s) }) {
			in.reject(name, "URLs such as http://alertmanager:9093, comma-separated")
		}
	}
}

const wantAdminListen = "host:port such as :9090 or 127.0.0.1:9090, or off for no admin server"

func checkAdmin(in *inspection, c *Config) {
	const name = "REWATCH_ADMIN_LISTEN"
	if c.Admin.Web != "" {
		if err := webconfig.Check(c.Admin.Web); err != nil {
			in.reject("REWATCH_ADMIN_WEB_CONFIG", "a file that exporter-toolkit would take ("+strings.ReplaceAll(Cause(err), "\n", " ")+")")
		}
	}
	if !in.ok(name) || c.Admin.Listen == "off" {
		return
	}
	host, port, err := SplitHostPort(c.Admin.Listen)
	if err != nil {
		in.reject(name, wantAdminListen)
		return
	}
	admin := Listener{Network: "tcp", Host: host, Port: port}
	for _, l := range slices.Concat(c.Proxy.Listen, c.Proxy.ServerListen) {
		if admin.clashes(l) {
			in.reject(name, "a port of its own: "+c.Admin.Listen+" clashes with "+l.String())
		}
	}
}

func checkProcess(in *inspection, c *Config) {
	if c.Process.Drain < 0 {
		in.reject("REWATCH_DRAIN", "a duration such as 10s; 0s does not wait")
	}
	if _, err := ParseLevel(c.Process.LogLevel.String()); err != nil {
		in.reject("REWATCH_LOG_LEVEL", err.Error())
	}
}
