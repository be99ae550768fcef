package proxy

import (
	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs"
)

// sockets shows what the sockets of both sides hold. It asks them when it is
// asked itself, so that nothing is counted on the path.
type sockets struct{ s *Server }

var (
	descDrops = prometheus.NewDesc("rewatch_udp_dropped_total",
		"Datagrams that the kernel threw away because they were not read in time.", []string{"side"}, nil)
	descStreams = prometheus.NewDesc("rewatch_streams",
		"Connections by side, and by who opened them.", []string{"side", "opened"}, nil)
	descBytes = prometheus.NewDesc("rewatch_stream_bytes",
		"Memory of connections: out waits to be written, in belongs to messages that are not complete.",
		[]string{"side", "direction"}, nil)
)

// Describe tells what there is.
func (c *sockets) Describe(ch chan<- *prometheus.Desc) {
	ch <- descDrops
	ch <- descStreams
	ch <- descBytes
}

// Collect asks the sockets.
func (c *sockets) Collect(ch chan<- prometheus.Metric) {
	show := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for _, side := range []dialogs.Side{dialogs.Core, dialogs.Server} {
		name := sides[side]
		var drops uint64
		for _, l := range c.s.bySide[side][udp] {
			drops += l.packet.Drops()
		}
		show(descDrops, prometheus.CounterValue, float64(drops), name)
		load := c.s.streams[side].Load()
		show(descStreams, prometheus.GaugeValue, float64(load.Accepted), name, "peer")
		show(descStreams, prometheus.GaugeValue, float64(load.Dialled), name, "rewatch")
		show(descBytes, prometheus.GaugeValue, float64(load.Queued), name, "out")
		show(descBytes, prometheus.GaugeValue, float64(load.Partial), name, "in")
	}
}
