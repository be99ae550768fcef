package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"rewatch/dialogs"
	"rewatch/proxy/socket"
	"rewatch/proxy/transaction"
	"rewatch/proxy/transport"
)

// Refusal is why a request was answered by rewatch itself; the set is closed.
type Refusal string

const (
	RefusedMalformed   Refusal = "malformed"
	RefusedUntrusted   Refusal = "untrusted"
	RefusedMaxForwards Refusal = "max-forwards"
	RefusedLoop        Refusal = "loop"
	RefusedExtension   Refusal = "extension"
	RefusedUnavailable Refusal = "unavailable"
	RefusedRuled       Refusal = "ruled"    // the Monitor refuses it: a ban, or a dialog that has ended
	RefusedOverload    Refusal = "overload" // 503 with Retry-After
	RefusedReach       Refusal = "reach"    // its Route or Request-URI leads to where it may not go
	RefusedOwn         Refusal = "own"      // a MESSAGE of rewatch's own that came back
)

// Drop is why a message was not forwarded; the set is closed.
type Drop string

const (
	DropMalformed   Drop = "malformed"
	DropUntrusted   Drop = "untrusted"
	DropNotOurs     Drop = "not-ours"    // a response whose upper Via is not ours
	DropUnaddressed Drop = "unaddressed" // a response that leads nowhere
	DropStream      Drop = "stream"      // the connection for a response is gone or full
	DropBacklog     Drop = "backlog"     // a NOTIFY for which its connection had no room
	DropSend        Drop = "send"        // the socket did not take it
	DropUnreachable Drop = "unreachable" // an ACK whose hop cannot be reached
	DropRuled       Drop = "ruled"       // answered with silence (REWATCH_ANSWER=silent)
	DropTimeout     Drop = "timeout"     // no response; a proxy does not answer for it
)

var methods = [...]string{
	"SUBSCRIBE", "NOTIFY", "PUBLISH", "REGISTER", "MESSAGE", "OPTIONS", "INVITE", "ACK", "CANCEL", "BYE",
	"PRACK", "UPDATE", "INFO", "REFER", "other",
}

// Sides are the names of the sides.
var Sides = [...]string{dialogs.Core: "core", dialogs.Server: "server"}

// Metrics are looked up once, so that counting is one atomic addition.
type Metrics struct {
	requests  [2][len(methods)]prometheus.Counter
	responses [2][7]prometheus.Counter
	refusals  map[Refusal]prometheus.Counter
	drops     map[Drop]prometheus.Counter
	missed    map[bool]prometheus.Counter
	// retries are further attempts of NOTIFYs before the verdict, by whether there was a 2xx.
	retries [transaction.Whys][2]prometheus.Counter
}

// New makes and registers them. dropped is that of NewDropped; open tells how many
// transactions are recorded.
func New(reg prometheus.Registerer, dropped *prometheus.CounterVec, sockets *socket.Set, open func() int) *Metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return counters(reg, name, help, labels...)
	}
	m := &Metrics{refusals: map[Refusal]prometheus.Counter{}, drops: map[Drop]prometheus.Counter{}, missed: map[bool]prometheus.Counter{}}
	requests := vec("requests_total", "Requests that came in, by side and method.", "side", "method")
	responses := vec("responses_total", "Responses that came in or that rewatch made itself, by side and class.", "side", "class")
	for side, name := range Sides {
		for i, method := range methods {
			m.requests[side][i] = requests.WithLabelValues(name, method)
		}
		for class := 1; class <= 6; class++ {
			m.responses[side][class] = responses.WithLabelValues(name, string(rune('0'+class))+"xx")
		}
	}
	refused := vec("refused_total", "Requests and connections that rewatch refused itself, by reason.", "reason")
	reasons := []Refusal{
		RefusedMalformed, RefusedUntrusted, RefusedMaxForwards, RefusedLoop, RefusedExtension, RefusedUnavailable, RefusedRuled,
		RefusedOverload, RefusedOwn, RefusedReach,
	}
	for _, r := range transport.Refusals() {
		reasons = append(reasons, Refusal(r))
	}
	for _, r := range reasons {
		m.refusals[r] = refused.WithLabelValues(string(r))
	}
	for _, d := range []Drop{DropMalformed, DropUntrusted, DropNotOurs, DropUnaddressed, DropStream, DropBacklog, DropSend, DropUnreachable, DropRuled, DropTimeout} {
		m.drops[d] = dropped.WithLabelValues(string(d))
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
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_transactions", Help: "Transactions that rewatch keeps a record of.",
	}, func() float64 { return float64(open()) })
	reg.MustRegister(&socketMetrics{sockets})
	return m
}

// NewDropped makes and registers the counter of messages that were not forwarded.
func NewDropped(reg prometheus.Registerer) *prometheus.CounterVec {
	return counters(reg, "dropped_total", "Messages that went no further, by reason.", "reason")
}

// NewForgotten makes and registers the counter of what full tables did not remember.
func NewForgotten(reg prometheus.Registerer) *prometheus.CounterVec {
	return counters(reg, "forgotten_total", "Small things that were not remembered because their table was full, by what they were.", "what")
}

// counters makes and registers the counters of one name, by labels.
func counters(reg prometheus.Registerer, name, help string, labels ...string) *prometheus.CounterVec {
	return promauto.With(reg).NewCounterVec(prometheus.CounterOpts{Name: "rewatch_" + name, Help: help}, labels)
}

// Request counts a request that was received.
func (m *Metrics) Request(side dialogs.Side, method []byte) {
	for i := range len(methods) - 1 {
		if string(method) == methods[i] {
			m.requests[side][i].Inc()
			return
		}
	}
	m.requests[side][len(methods)-1].Inc()
}

// Response counts a response by the first digit of its status.
func (m *Metrics) Response(side dialogs.Side, raw []byte) {
	const at = len("SIP/2.0 ")
	if len(raw) > at && raw[at] >= '1' && raw[at] <= '6' {
		m.responses[side][raw[at]-'0'].Inc()
	}
}

// Retried counts the further attempts of a NOTIFY that has ended; ok: the last one got a 2xx.
func (m *Metrics) Retried(tries []transaction.Try, ok bool) {
	for i, t := range tries {
		result := 0
		if ok && i == len(tries)-1 {
			result = 1
		}
		m.retries[t.Why][result].Inc()
	}
}

// Refused counts a request or a connection that was refused.
func (m *Metrics) Refused(r Refusal) {
	if c := m.refusals[r]; c != nil {
		c.Inc()
	}
}

// Dropped counts messages that were not forwarded.
func (m *Metrics) Dropped(d Drop, n int) { m.drops[d].Add(float64(n)) }

// Untracked counts a request that got no record.
func (m *Metrics) Untracked(notify bool) { m.missed[notify].Inc() }

// socketMetrics shows the state of the sockets of both sides. It asks them when metrics are
// read, so that nothing is counted on the path.
type socketMetrics struct{ set *socket.Set }

var (
	descDrops = prometheus.NewDesc("rewatch_udp_dropped_total",
		"Datagrams that the kernel threw away because they were not read in time.", []string{"side"}, nil)
	descStreams = prometheus.NewDesc("rewatch_streams",
		"Connections by side, and by who opened them.", []string{"side", "opened"}, nil)
	descBytes = prometheus.NewDesc("rewatch_stream_bytes",
		"Memory of connections: out waits to be written, in belongs to messages that are not complete.",
		[]string{"side", "direction"}, nil)
)

// Describe implements prometheus.Collector.
func (c *socketMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- descDrops
	ch <- descStreams
	ch <- descBytes
}

// Collect implements prometheus.Collector.
func (c *socketMetrics) Collect(ch chan<- prometheus.Metric) {
	show := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for _, side := range []dialogs.Side{dialogs.Core, dialogs.Server} {
		name := Sides[side]
		show(descDrops, prometheus.CounterValue, float64(c.set.Drops(side)), name)
		load := c.set.Streams[side].Load()
		show(descStreams, prometheus.GaugeValue, float64(load.Accepted), name, "peer")
		show(descStreams, prometheus.GaugeValue, float64(load.Dialled), name, "rewatch")
		show(descBytes, prometheus.GaugeValue, float64(load.Queued), name, "out")
		show(descBytes, prometheus.GaugeValue, float64(load.Partial), name, "in")
	}
}
