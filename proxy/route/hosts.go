package route

import (
	"strconv"
	"sync"
	"time"

	"rewatch/proxy/wire"
)

const (
	// maxHosts bounds what is remembered. A server has a handful of hosts.
	maxHosts = 1024
	// hostAge is how long a host is remembered that the server does not name again. A
	// subscription or a call is refreshed or has ended long before.
	hostAge = 7 * 24 * time.Hour
	// hostRenewal is the least time between two renewals of a host.
	hostRenewal = time.Hour
	// maxHost is the longest host:port, that of a domain name (RFC 1035 2.3.4).
	maxHost = 255 + len(":65535")
)

// Hosts are those that the presence server has named in its own messages, each with its
// port. A Route or Request-URI that a phone wrote may lead to one of them or to the
// server's own addresses, and nowhere else.
type Hosts struct {
	// Changed, if set, is told of a host that is named, with the time at which it is
	// forgotten, and of one that is forgotten early (a zero time). It must not block.
	Changed func(host string, until time.Time)

	mu    sync.RWMutex
	until map[string]time.Time
}

// Name notes that the server has named a host, in the form of AppendHost. The host is
// not kept.
func (h *Hosts) Name(host []byte, now time.Time) {
	h.mu.RLock()
	until, known := h.until[string(host)]
	h.mu.RUnlock()
	if known && until.Sub(now) > hostAge-hostRenewal {
		return
	}
	h.Restore(string(host), now.Add(hostAge), now)
	if h.Changed != nil {
		h.Changed(string(host), now.Add(hostAge))
	}
}

// Restore adds a host that was named before; false: its time is over, or it is no host.
func (h *Hosts) Restore(host string, until, now time.Time) bool {
	if !now.Before(until) || len(host) == 0 || len(host) > maxHost {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until == nil {
		h.until = make(map[string]time.Time)
	}
	if _, known := h.until[host]; !known && len(h.until) >= maxHosts {
		h.forgetOldest()
	}
	h.until[host] = until
	return true
}

// forgetOldest makes room for another host.
func (h *Hosts) forgetOldest() {
	var oldest string
	for host, until := range h.until {
		if oldest == "" || until.Before(h.until[oldest]) {
			oldest = host
		}
	}
	delete(h.until, oldest)
	if h.Changed != nil {
		h.Changed(oldest, time.Time{})
	}
}

// Named tells whether the server has named a host lately.
func (h *Hosts) Named(host []byte, now time.Time) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	until, known := h.until[string(host)]
	return known && now.Before(until)
}

// AppendHost appends the host and port that a URI leads to (RFC 3263 4): its maddr or its host,
// in lower case or as an address in its usual form, and the port, 0 where DNS would say it.
// false: it is no SIP URI.
func AppendHost(dst, uri []byte) ([]byte, bool) {
	u, ok := wire.ParseURI(uri)
	if !ok || len(u.Host) == 0 || !wire.EqualFold(u.Scheme, "sip") && !wire.EqualFold(u.Scheme, "sips") {
		return dst, false
	}
	host := u.Host
	if maddr, ok := wire.Param(u.Params, "maddr"); ok {
		host = maddr
	}
	port := u.Port
	if ip, ok := wire.ParseIP(host); ok {
		dst = ip.AppendTo(dst)
		if port == 0 {
			port = defaultPort(&u)
		}
	} else {
		if n := len(host); n > 0 && host[n-1] == '.' {
			host = host[:n-1]
		}
		if len(host) == 0 || len(host) > maxHost-len(":65535") {
			return dst, false
		}
		for _, c := range host {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
		}
	}
	return strconv.AppendInt(append(dst, ':'), int64(port), 10), true
}
