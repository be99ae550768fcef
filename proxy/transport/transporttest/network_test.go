package transporttest

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRule loses, doubles and reorders.
func TestRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n Network
		a, b := n.ListenPacket("10.0.0.1:5060"), n.ListenPacket("10.0.0.2:5060")
		defer a.Close() //nolint:errcheck // in memory
		defer b.Close() //nolint:errcheck // in memory
		n.SetRule(func(d Datagram) []time.Duration {
			switch string(d.Bytes) {
			case "lost":
				return nil
			case "double":
				return []time.Duration{0, 0}
			case "late":
				return []time.Duration{time.Second}
			}
			return []time.Duration{0}
		})
		for _, s := range []string{"late", "lost", "double", "plain"} {
			if _, err := a.WriteTo([]byte(s), b.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(2 * time.Second)
		var got []string
		for d, ok := b.Poll(); ok; d, ok = b.Poll() {
			got = append(got, string(d.Bytes))
		}
		if s := strings.Join(got, " "); s != "double double plain late" {
			t.Error(s)
		}
	})
}

// TestDial connects, refuses and swallows.
func TestDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n Network
		to := netip.MustParseAddrPort("10.0.0.2:5060")
		from := netip.MustParseAddr("10.0.0.1")
		if _, err := n.Dial(t.Context(), from, to); err == nil {
			t.Error("connected to nobody")
		}
		l := n.Listen(to.String())
		c, err := n.Dial(t.Context(), from, to)
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if far.RemoteAddr().(*net.TCPAddr).Port != c.LocalAddr().(*net.TCPAddr).Port {
			t.Error("the two ends do not agree on their addresses")
		}
		go func() { _, _ = c.Write([]byte("x")) }()
		b := make([]byte, 2)
		if k, err := far.Read(b); k != 1 || err != nil {
			t.Error(k, err)
		}
		_, _ = c.Close(), l.Close()
		if _, err := l.Accept(); err == nil {
			t.Error("accepted after the end")
		}
	})
}
