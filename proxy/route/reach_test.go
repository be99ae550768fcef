package route

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestDefaultReach says where requests toward the core side go by default.
func TestDefaultReach(t *testing.T) {
	ips := func(list ...string) (as []netip.Addr) {
		for _, s := range list {
			as = append(as, netip.MustParseAddr(s))
		}
		return as
	}
	own := ips("127.0.0.1", "::1", "10.0.0.1", "10.9.0.1", "fe80::1")
	for _, c := range []struct {
		bound   []netip.Addr
		in, out []netip.Addr
	}{
		{ips("0.0.0.0"), ips("10.0.0.2", "192.0.2.1", "2001:db8::1"), ips("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "169.254.169.254", "fe80::7", "10.0.0.1", "::ffff:10.9.0.1", "0.0.0.0", "0.0.0.7", "::", "224.0.0.1", "ff02::1")},
		{ips("127.0.0.2"), ips("127.0.0.1", "127.0.0.77", "::1", "10.0.0.2"), ips("10.0.0.1", "169.254.169.254", "0.0.0.0")},
		{ips("10.0.0.1"), ips("10.0.0.1", "10.0.0.2"), ips("10.9.0.1", "127.0.0.1", "fe80::7")},
		{ips("fe80::1%eth0"), ips("fe80::7", "169.254.1.1"), ips("127.0.0.1", "10.0.0.1")},
	} {
		r := DefaultReach(c.bound, own)
		for _, ip := range c.in {
			if !r.Contains(ip) {
				t.Errorf("bound to %v: %v is out of reach", c.bound, ip)
			}
		}
		for _, ip := range c.out {
			if r.Contains(ip) {
				t.Errorf("bound to %v: %v can be reached", c.bound, ip)
			}
		}
	}
}

// TestAppendHost gives one form to all spellings of one place.
func TestAppendHost(t *testing.T) {
	for _, c := range []struct{ uri, want string }{
		{"sip:bob@10.1.0.2", "10.1.0.2:5060"},
		{"sip:10.1.0.2:5060;lr", "10.1.0.2:5060"},
		{"sips:10.1.0.2", "10.1.0.2:5061"},
		{"sip:10.1.0.2;transport=TLS", "10.1.0.2:5061"},
		{"sip:[2001:DB8:0::1]:7", "2001:db8::1:7"},
		{"sip:[::ffff:10.1.0.2]", "10.1.0.2:5060"},
		{"sip:Core.Example.", "core.example:0"},
		{"sip:core.example:5060", "core.example:5060"},
		{"sip:core.example;maddr=127.0.0.1", "127.0.0.1:5060"},
		{"tel:+1", ""},
		{"http://x", ""},
		{"", ""},
		{"sip:", ""},
	} {
		got, ok := AppendHost(nil, []byte(c.uri))
		if ok != (c.want != "") || ok && string(got) != c.want {
			t.Errorf("%s: %s %t, want %s", c.uri, got, ok, c.want)
		}
	}
}

// TestHosts is bounded, forgets with time and tells of what changes.
func TestHosts(t *testing.T) {
	now := time.Unix(1e9, 0)
	told := 0
	h := Hosts{Changed: func(string, time.Time) { told++ }}
	for range 3 {
		h.Name([]byte("10.1.0.2:5060"), now)
	}
	if told != 1 || !h.Named([]byte("10.1.0.2:5060"), now.Add(hostAge-1)) || h.Named([]byte("10.1.0.2:5060"), now.Add(hostAge)) || h.Named([]byte("10.1.0.3:5060"), now) {
		t.Errorf("told %d times", told)
	}
	h.Name([]byte("10.1.0.2:5060"), now.Add(2*hostRenewal))
	if told != 2 {
		t.Error("it is not renewed")
	}
	for i := range 3 * maxHosts {
		h.Name(fmt.Appendf(nil, "10.2.%d.%d:5060", i/256, i%256), now.Add(3*hostRenewal+time.Duration(i)))
	}
	if len(h.until) != maxHosts {
		t.Error(len(h.until))
	}
	if h.Restore("x", now, now) || h.Restore("", now.Add(1), now) || !h.Restore("x", now.Add(1), now) {
		t.Error("what is over is restored, or what is not is not")
	}
}
