package route

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs"
	"rewatch/proxy/recent"
	"rewatch/proxy/resolve"
	"rewatch/proxy/wire"
)

// TestOneHopByOneWay: URIs and records of DNS that lead to one peer by one way are one hop, in the
// place of the first.
func TestOneHopByOneWay(t *testing.T) {
	at := func(over wire.Transport, addr, name string) resolve.Hop {
		return resolve.Hop{Transport: over, Addr: netip.MustParseAddrPort(addr), ServerName: name}
	}
	names := map[string][]resolve.Hop{
		"one.test":  {at(wire.UDP, "192.0.2.1:5060", "one.test"), at(wire.UDP, "192.0.2.2:5060", "one.test")},
		"two.test":  {at(wire.UDP, "192.0.2.2:5060", "two.test"), at(wire.UDP, "192.0.2.3:5060", "two.test")},
		"same.test": {at(wire.UDP, "192.0.2.1:5060", ""), at(wire.UDP, "192.0.2.1:5060", "")},
		"tls.test":  {at(wire.TLS, "192.0.2.1:5061", "tls.test")},
		"other.tls": {at(wire.TLS, "192.0.2.1:5061", "other.tls")},
	}
	for name, c := range map[string]struct{ core, want []string }{
		"one":                 {[]string{"sip:192.0.2.1"}, []string{"udp 192.0.2.1:5060 true"}},
		"spelled otherwise":   {[]string{"sip:192.0.2.1:5060", "sip:192.0.2.1"}, []string{"udp 192.0.2.1:5060 true"}},
		"transport named":     {[]string{"sip:192.0.2.1;transport=udp", "sip:192.0.2.1"}, []string{"udp 192.0.2.1:5060 true"}},
		"two transports":      {[]string{"sip:192.0.2.1;transport=udp", "sip:192.0.2.1;transport=tcp"}, []string{"udp 192.0.2.1:5060 false", "tcp 192.0.2.1:5060 false"}},
		"a name and its host": {[]string{"sip:192.0.2.2", "sip:one.test"}, []string{"udp 192.0.2.2:5060 true", "udp 192.0.2.1:5060 false"}},
		"names that overlap": {
			[]string{"sip:one.test", "sip:two.test"},
			[]string{"udp 192.0.2.1:5060 false", "udp 192.0.2.2:5060 false", "udp 192.0.2.3:5060 false"},
		},
		"two records":      {[]string{"sip:same.test"}, []string{"udp 192.0.2.1:5060 false"}},
		"two certificates": {[]string{"sips:tls.test", "sips:other.tls", "sips:tls.test"}, []string{"tls 192.0.2.1:5061 false", "tls 192.0.2.1:5061 false"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := Router{Config: &Config{
				Lookup: func(t resolve.Target) ([]resolve.Hop, bool) { hops, ok := names[t.Host]; return hops, ok },
				Speaks: func(dialogs.Side, wire.Transport, netip.Addr) bool { return true },
				Bad:    recent.New(time.Minute, prometheus.NewCounter(prometheus.CounterOpts{})),
			}}
			for _, uri := range c.core {
				r.Core = append(r.Core, []byte(uri))
			}
			if _, err := r.Candidates(Decision{Core: true}, []byte("call"), time.Now()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range r.Hops {
				got = append(got, h.Transport.String()+" "+h.Addr.String()+map[bool]string{true: " true", false: " false"}[h.Either])
			}
			if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(c.want))) {
				t.Errorf("hops %q, want %q", got, c.want)
			}
		})
	}
}
