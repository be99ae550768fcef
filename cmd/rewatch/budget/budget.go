// Package budget says how much memory rewatch takes at most with a configuration, table by table.
// Each package states its bound (Budget), and has a test that fills its tables with the longest
// values that a peer can send; here the bounds are added up.
//
// The tables are never all full at the same time, so the sum may be more than the process may have
// (Limit). The tables that grow with the number of users share what the others leave of the limit,
// which a Pool enforces. If a table is full, what it has no room for is forwarded unwatched and
// counted. That is better than a process that is killed and loses everything.
package budget

import (
	"fmt"
	"slices"
	"strings"

	"rewatch/cmd/rewatch/admin"
	"rewatch/cmd/rewatch/config"
	"rewatch/dialogs/fallback"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/recovery"
	"rewatch/dialogs/redelivery"
	"rewatch/policy/alarm"
	"rewatch/proxy"
	"rewatch/proxy/hep"
	"rewatch/proxy/resolve"
)

// Part is one part of rewatch, and the memory that it takes at most, in bytes.
type Part struct {
	Name  string
	Bytes int64
	// Shared: it grows with the users, and shares a Pool with others like it.
	Shared bool
}

// program is the memory, in bytes, of a rewatch without traffic: Go itself, metrics, logger, TLS.
const program = 32 << 20

// Of lists the parts of a configuration.
func Of(c config.Config) []Part {
	sockets := len(c.Proxy.Listen) + len(c.Proxy.ServerListen)
	subscriptions, notes := monitor.Budget(monitor.Config{MaxSubscriptions: c.Dialogs.MaxSubscriptions, SignalNotify: c.Dialogs.Notifies()})
	secure := slices.ContainsFunc(c.Proxy.Listen, func(l config.Listener) bool { return l.Network == "tls" })
	transactions, streams, path := proxy.Budget(c.Proxy.MaxTransactions, c.Proxy.MaxConnections, sockets, secure)
	parts := []Part{
		{"subscriptions", subscriptions, true},
		{"recoveries", Recoveries(c), true},
		{"transactions", transactions, true},
		{"connections", streams, true},
	}
	add := func(name string, on bool, bytes int64) {
		if on {
			parts = append(parts, Part{name, bytes, false})
		}
	}
	add("SIP path", true, path)
	add("own requests and the console", true, notes+recovery.Budget(recovery.Config{MessageRate: c.UAC.MessageRate, DeregisterRate: c.UAC.DeregisterRate}))
	add("DNS", true, resolve.Budget)
	add("alarms", true, alarm.Budget(len(c.Alarm.Webhook)+len(c.Alarm.Alertmanager)+len(c.SNMP.Managers)))
	add("redelivery", c.Dialogs.Redeliver > 0, redelivery.Budget(redelivery.Options{
		Config: redelivery.Config{MaxBytes: int(c.Dialogs.MaxRedeliver)}, Rate: c.UAC.MessageRate,
	}))
	add("REGISTERs kept", c.Proxy.RegisterFallback, fallback.Budget)
	add("admin port", c.Admin.Listen != "", admin.Budget(c.Admin.Scheme() == "https"))
	add("captured messages", c.HEP.Capture > 0, int64(c.HEP.Capture))
	add("mirror", c.HEP.Collector.Host != "", hep.Budget)
	add("program", true, program)
	return parts
}

// Recoveries is the memory, in bytes, of the states of users whose subscriptions broke.
func Recoveries(c config.Config) int64 {
	return max(recovery.LeastBytes, int64(c.Dialogs.MaxSubscriptions)*recovery.BytesEach)
}

// Sum is what the parts take together, in bytes.
func Sum(parts []Part) (sum int64) {
	for _, p := range parts {
		sum += p.Bytes
	}
	return sum
}

// Shared is the memory, in bytes, that the parts which grow with the users share under a limit. ok is
// false if the other parts leave less than leastShared of it; then bytes is leastShared.
func Shared(parts []Part, limit int64) (bytes int64, ok bool) {
	bytes = limit - limit/garbage - fixed(parts)
	return max(bytes, leastShared), bytes >= leastShared
}

// garbage: one part in so many of a limit is for garbage that is not collected yet.
const garbage = 5

// Least is the least limit, in bytes, that Shared is enough under. Below it the sum of all tables may
// exceed the limit.
func Least(parts []Part) int64 {
	n := fixed(parts) + leastShared
	return n + n/(garbage-1) + 1
}

// fixed is what the parts take that do not grow with the users, in bytes.
func fixed(parts []Part) (sum int64) {
	for _, p := range parts {
		if !p.Shared {
			sum += p.Bytes
		}
	}
	return sum
}

// leastShared is the least memory that is shared, in bytes. It has room for some ten thousand
// subscriptions.
const leastShared = 64 << 20

// Text gives the sum and the parts, for people.
func Text(parts []Part) string {
	var b strings.Builder
	fmt.Fprintf(&b, "at most %s:", size(Sum(parts)))
	for i, p := range parts {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s %s", p.Name, size(p.Bytes))
	}
	return b.String()
}

func size(n int64) string { return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20) }
