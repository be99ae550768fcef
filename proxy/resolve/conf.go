package resolve

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// conf has the settings of resolv.conf(5) that are used.
type conf struct {
	servers []string // host:port
	search  []string
	ndots   int
}

// maxServersAsked is MAXNS of resolv.conf(5).
const maxServersAsked = 3

func parseConf(text string) conf {
	c := conf{ndots: 1}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if len(c.servers) < maxServersAsked {
				c.servers = append(c.servers, net.JoinHostPort(fields[1], "53"))
			}
		case "search", "domain":
			c.search = fields[1:]
		case "options":
			c.options(fields[1:])
		}
	}
	if len(c.servers) == 0 {
		c.servers = []string{"127.0.0.1:53"}
	}
	return c
}

func (c *conf) options(options []string) {
	for _, o := range options {
		if v, ok := strings.CutPrefix(o, "ndots:"); ok {
			if n, err := strconv.Atoi(v); err == nil {
				c.ndots = min(max(n, 0), 15)
			}
		}
	}
}

// candidates are the full names that a name may stand for, in the order in which
// they are looked up. The labels of a service (_sip._udp) do not count as dots: a short name
// is short with a service before it, too.
func (c conf) candidates(name string) []string {
	host := name
	for strings.HasPrefix(host, "_") {
		_, host, _ = strings.Cut(host, ".")
	}
	var completed []string
	for _, domain := range c.search {
		if d := strings.Trim(domain, "."); d != "" {
			completed = append(completed, name+"."+d)
		}
	}
	if strings.Count(host, ".") >= c.ndots {
		return append([]string{name}, completed...)
	}
	return append(completed, name)
}

// hostsTTL is the TTL of a line of /etc/hosts; the file is cheap to read.
const hostsTTL = 5 * time.Second

// lookupHosts finds the addresses of a name in the text of hosts(5). localhost
// has its addresses even if it is not in the file (RFC 6761 6.3). ok: the name is in the file.
// If it has only addresses of the other family there, it has none of this one.
func lookupHosts(text, name string, typ dnsmessage.Type) (records []Record, ok bool) {
	if typ != dnsmessage.TypeA && typ != dnsmessage.TypeAAAA {
		return nil, false
	}
	if strings.EqualFold(name, "localhost") {
		text += "\n127.0.0.1 localhost\n"
	}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil || !slices.ContainsFunc(fields[1:], func(f string) bool { return strings.EqualFold(f, name) }) {
			continue
		}
		ok = true
		r := Record{Addr: addr, TTL: hostsTTL}
		if addr.Is4() == (typ == dnsmessage.TypeA) && !slices.Contains(records, r) {
			records = append(records, r)
		}
	}
	return records, ok
}
