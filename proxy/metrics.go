package proxy

import (
	"github.com/prometheus/client_golang/prometheus"

	"rewatch/dialogs"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
	"rewatch/proxy/wire"
)

// refusal is why a request was answered by rewatch itself; the set is closed.
type refusal string

const (
	refusedMalformed   refusal = "malformed"
	refusedUntrusted   refusal = "untrusted"
	refusedMaxForwards refusal = "max-forwards"
	refusedLoop        refusal = "loop"
	refusedExtension   refusal = "extension"
	refusedUnavailable refusal = "unavailable"
	refusedRuled       refusal = "ruled"    // banned, or a dialog that is declared dead
	refusedOverload    refusal = "overload" // 503 with Retry-After
	refusedReach       refusal = "reach"    // it led to where it may not go
	refusedOwn         refusal = "own"      // a MESSAGE of rewatch's own, come back
)

// drop is why a message went no further; the set is closed.
type drop string

const (
	dropMalformed   drop = "malformed"
	dropUntrusted   drop = "untrusted"
	dropNotOurs     drop = "not-ours"    // a response whose upper Via is not ours
	dropUnaddressed drop = "unaddressed" // a response that leads nowhere
	dropStream      drop = "stream"      // the connection for a response is gone or full
	dropBacklog     drop = "backlog"     // a NOTIFY that found no room on its stream
	dropSend        drop = "send"        // the socket did not take it
	dropUnreachable drop = "unreachable" // an ACK whose hop cannot be reached
	dropRuled       drop = "ruled"       // answered with silence (REWATCH_ANSWER=silent)
	dropTimeout     drop = "timeout"     // no response; a proxy does not answer for it
)

var methods = [...]string{
	"SUBSCRIBE", "NOTIFY", "PUBLISH", "REGISTER", "MESSAGE", "OPTIONS", "INVITE", "ACK", "CANCEL", "BYE",
	"PRACK", "UPDATE", "INFO", "REFER", "other",
}

var sides = [...]string{dialogs.Core: "core", dialogs.Server: "server"}

// metrics are resolved once, so that counting is one atomic addition.
type metrics struct {
	requests  [2][len(methods)]prometheus.Counter
	responses [2][7]prometheus.Counter
	refusals  map[refusal]prometheus.Counter
	drops     map[drop]prometheus.Counter
	missed    map[bool]prometheus.Counter
	// retries are those of a NOTIFY before its verdict, by whether the NOTIFY got through.
	retries [transaction.Whys][2]prometheus.Counter
}

func newMetrics(s *Server) *metrics {
	reg := s.cfg.Reg
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rewatch_" + name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	m := &metrics{refusals: map[refusal]prometheus.Counter{}, drops: map[drop]prometheus.Counter{}, missed: map[bool]prometheus.Counter{}}
	requests := vec("requests_total", "Requests that came in, by side and method.", "side", "method")
	responses := vec("responses_total", "Responses that came in or that rewatch made itself, by side and class.", "side", "class")
	for side, name := range sides {
		for i, method := range methods {
			m.requests[side][i] = requests.WithLabelValues(name, method)
		}
		for class := 1; class <= 6; class++ {
			m.responses[side][class] = responses.WithLabelValues(name, string(rune('0'+class))+"xx")
		}
	}
	refused := vec("refused_total", "Requests and connections that rewatch refused itself, by reason.", "reason")
	reasons := []refusal{
		refusedMalformed, refusedUntrusted, refusedMaxForwards, refusedLoop, refusedExtension, refusedUnavailable, refusedRuled,
		refusedOverload, refusedOwn, refusedReach,
	}
	for _, r := range transport.Refusals() {
		reasons = append(reasons, refusal(r))
	}
	for _, r := range reasons {
		m.refusals[r] = refused.WithLabelValues(string(r))
	}
	for _, d := range []drop{dropMalformed, dropUntrusted, dropNotOurs, dropUnaddressed, dropStream, dropBacklog, dropSend, dropUnreachable, dropRuled, dropTimeout} {
		m.drops[d] = s.cfg.Dropped.WithLabelValues(string(d))
	}
	stateless := vec("stateless_total", "Requests that were forwarded without a record because REWATCH_MAX_TRANSACTIONS was reached.", "kind")
	m.missed[true] = stateless.WithLabelValues("notify")
	m.missed[false] = stateless.WithLabelValues("other")
	retries := vec("notify_retries_total",
		"Further attempts of NOTIFYs before their verdict, by why there was one, and by whether it got a 2xx (ok) or not (failed).", "why", "result")
	for why := range m.retries {
		label := transaction.Why(why).String() // #nosec G115 -- few
		m.retries[why] = [2]prometheus.Counter{retries.WithLabelValues(label, "failed"), retries.WithLabelValues(label, "ok")}
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_transactions", Help: "Transactions that rewatch keeps a record of.",
	}, func() float64 { return float64(s.table.Len()) }))
	reg.MustRegister(&socketMetrics{s})
	return m
}

// NewDropped makes and registers the counter of what went no further.
func NewDropped(reg prometheus.Registerer) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rewatch_dropped_total", Help: "Messages that went no further, by reason.",
	}, []string{"reason"})
	reg.MustRegister(v)
	return v
}

// NewForgotten makes and registers the counter of what was not remembered.
func NewForgotten(reg prometheus.Registerer) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rewatch_forgotten_total", Help: "Small things that were not remembered because their table was full, by what they were.",
	}, []string{"what"})
	reg.MustRegister(v)
	return v
}

func (m *metrics) request(side dialogs.Side, method []byte) {
	for i := range len(methods) - 1 {
		if string(method) == methods[i] {
			m.requests[side][i].Inc()
			return
		}
	}
	m.requests[side][len(methods)-1].Inc()
}

// response counts by the first digit of the status in raw.
func (m *metrics) response(side dialogs.Side, raw []byte) {
	const at = len("SIP/2.0 ")
	if len(raw) > at && raw[at] >= '1' && raw[at] <= '6' {
		m.responses[side][raw[at]-'0'].Inc()
	}
}

// retried counts the further attempts of a NOTIFY that is over; ok: the last one got a
// 2xx.
func (m *metrics) retried(tries []transaction.Try, ok bool) {
	for i, t := range tries {
		result := 0
		if ok && i == len(tries)-1 {
			result = 1
		}
		m.retries[t.Why][result].Inc()
	}
}

func (m *metrics) refused(r refusal) {
	if c := m.refusals[r]; c != nil {
		c.Inc()
	}
}

func (m *metrics) dropped(d drop, n int) { m.drops[d].Add(float64(n)) }

func (m *metrics) untracked(notify bool) { m.missed[notify].Inc() }

// socketMetrics shows what the sockets of both sides hold. It asks them when it is
// asked itself, so that nothing is counted on the path.
type socketMetrics struct{ s *Server }

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
func (c *socketMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- descDrops
	ch <- descStreams
	ch <- descBytes
}

// Collect asks the sockets.
func (c *socketMetrics) Collect(ch chan<- prometheus.Metric) {
	show := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for _, side := range []dialogs.Side{dialogs.Core, dialogs.Server} {
		name := sides[side]
		var drops uint64
		for _, l := range c.s.bySide[side][wire.UDP] {
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
