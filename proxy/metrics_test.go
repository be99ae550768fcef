package proxy

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
)

// shown gives the series of a metric, one a line.
func shown(t *testing.T, reg *prometheus.Registry, name string) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				lines.WriteString(l.GetValue() + " ")
			}
			_, _ = fmt.Fprintln(&lines, m.GetGauge().GetValue()+m.GetCounter().GetValue())
		}
	}
	return lines.String()
}

// TestSocketMetrics shows the connections of each side and what they hold.
func TestSocketMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	play(t, func(r *rig) {
		accept := r.listen(serverAddr)
		x := r.dial("10.0.0.2", coreSide)
		x.send(request("PUBLISH", "sip:bob@ims.example", viaTCP("m1")))
		accept().want("PUBLISH")
		slow := r.dial("10.0.0.3", coreSide)
		_, _ = slow.conn.Write([]byte("PUBLISH sip:" + strings.Repeat("x", 7000)))
		synctest.Wait()
		if got, want := shown(r.T, reg, "rewatch_streams"), "peer core 2\npeer server 0\nrewatch core 0\nrewatch server 1\n"; got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if got, want := shown(r.T, reg, "rewatch_stream_bytes"), "in core 4096\nin server 0\nout core 0\nout server 0\n"; got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if got, want := shown(r.T, reg, "rewatch_udp_dropped_total"), "core 0\nserver 0\n"; got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}, func(c *Config) { c.Server += ";transport=tcp"; c.Reg = reg })
}
