package proxy

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestUnreadable answers, counts and closes where nobody can tell any more where the
// next message of a connection begins.
func TestUnreadable(t *testing.T) {
	m := crlf(request("MESSAGE", "sip:bob@ims.example", viaTCP("x")))
	length := func(v string) string { return strings.Replace(m, "Content-Length: 0", "Content-Length: "+v, 1) }
	for _, c := range []struct{ name, in, out, counted string }{
		{"a negative length", length("-999"), "SIP/2.0 400 Bad Request (malformed Content-Length)\r\n", "malformed"},
		{"two lengths that do not fit", length("7\r\nl: 5"), "SIP/2.0 400 Bad Request (more than one Content-Length)\r\n", "malformed"},
		{"a length beyond all bounds", length("500000"), "SIP/2.0 513 Message Too Large\r\n", "malformed"},
		{"no SIP", "\x16\x03\x01", "", ""},
		{"a response", "SIP/2.0 200 OK\r\nVia: " + viaCore + "\r\nContent-Length: x\r\n\r\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			play(t, func(r *rig) {
				x := r.dial("10.0.0.2", coreSide)
				_, _ = x.conn.Write([]byte(c.in))
				if c.out != "" {
					x.want(c.out)
				}
				x.nothing()
				<-x.gone
				r.server.nothing()
				if c.counted != "" && refused(t, reg, c.counted) != "1" {
					t.Error("it is not counted as refused")
				}
				if c.counted == "" && !strings.Contains(shown(t, reg, "rewatch_dropped_total"), "malformed 1") {
					t.Error("it is not counted as dropped")
				}
			}, func(cfg *Config) { cfg.Reg = reg })
		})
	}
}

// TestNoise counts every datagram that is thrown away, but for keep-alives.
func TestNoise(t *testing.T) {
	reg := prometheus.NewRegistry()
	play(t, func(r *rig) {
		for _, said := range []string{"", "\r\n\r\n", "\x00", "\x00\x00\x00\x00", "\x00noise", "noise", "SIP/2.0 noise"} {
			_, _ = r.core.conn.WriteTo([]byte(said), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(coreSide)))
		}
		r.core.nothing()
		if got := shown(t, reg, "rewatch_dropped_total"); !strings.Contains(got, "malformed 3") {
			t.Error(got)
		}
	}, func(cfg *Config) { cfg.Reg = reg })
}
