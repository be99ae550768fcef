package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/policy"
	"rewatch/proxy/metrics"
	"rewatch/proxy/observe"
	"rewatch/proxy/own"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
	"rewatch/proxy/socket"
)

// Monitor is told of the messages that pass, and decides on them. Package dialogs/monitor
// implements it.
type Monitor interface {
	Subscribe(*dialogs.Message) dialogs.Ruling
	SubscribeDone(*dialogs.Message)
	Notify(*dialogs.Message) (dialogs.Ref, dialogs.Ruling)
	NotifyDone(dialogs.Ref, dialogs.Outcome) dialogs.Verdict
	// Announce follows NotifyDone, once the answer to a NOTIFY that got no 2xx has been sent.
	Announce(ref dialogs.Ref, cseq uint32)
	Register(*dialogs.Message) dialogs.Ruling
	RegisterDone(*dialogs.Message)
	// Heard is told of any other request of the core, while the Monitor Waits for a sign
	// of life.
	Heard(*dialogs.Message)
	Waits() bool
	// Safe calls a function, at once or later, when everything that the Monitor knows now has
	// been saved.
	Safe(then func())
}

// Registers keeps third-party REGISTERs that could not reach the server, until they can.
// Package dialogs/fallback implements it.
type Registers interface {
	// On tells whether rewatch answers REGISTERs now; while it only observes, it answers none.
	On() bool
	// Keep copies the REGISTER of a user, as the server is to receive it but for our Via.
	// expires is in seconds, -1: the REGISTER does not say.
	Keep(user, raw []byte, expires int, at time.Time)
	// Keeps tells whether a REGISTER of a user is kept, or is being sent: the next one has to
	// follow it.
	Keeps(user []byte) bool
}

// Resolver finds next hops without blocking. Package resolve implements it.
type Resolver interface {
	Lookup(resolve.Target) ([]resolve.Hop, bool)
	Await(target resolve.Target, asker uint64, done func([]resolve.Hop, error))
}

// Config is what a Server needs.
type Config struct {
	Listeners []socket.Listener
	// Server is the URI of the presence server, Core those of the next hops into
	// the core that are used when no Route says otherwise.
	Server string
	Core   []string
	// Trusted are the networks whose hosts may talk to the core side.
	Trusted []netip.Prefix
	// Namers say which field names the watcher of a SUBSCRIBE; nil: by hop.
	Namers *observe.Namers
	// Reach is where requests toward the core side may go.
	Reach route.Reach
	// HostNamed is told of each host that the presence server names, with the time at which
	// the host is forgotten, and of each that is forgotten early (a zero time). It must not
	// block.
	HostNamed func(host string, until time.Time)
	// MaxExpires, if not 0, is the longest subscription asked of the server, in seconds.
	MaxExpires int
	// NotifyTimeout is the deadline of a NOTIFY; T1 and T2 are those of RFC 3261
	// 17.1.1.1 (0: 500 ms and 4 s).
	NotifyTimeout, T1, T2 time.Duration
	// MaxTransactions bounds the records.
	MaxTransactions int
	// MaxStreams bounds the connections that are accepted on each side, MaxPerPeer
	// those from one address; 0 leaves them to package transport.
	MaxStreams, MaxPerPeer int
	// SingleDatagrams: every datagram is given to the kernel by itself, and not several for
	// one address in one piece (UDP GSO).
	SingleDatagrams bool
	// Poller, if set, makes one goroutine read all UDP sockets, where the system can do that,
	// and keep a processor of the Go scheduler to itself while datagrams come often
	// (datagram.Poller). It is called when the processor is taken and when it is given back,
	// so that the scheduler can have one more meanwhile.
	Poller func(held bool)
	// DryRun: no message is changed, and Retry is off, while it is on.
	DryRun *dialogs.DryRun
	// Retry: a NOTIFY that was refused for a while, or that was too long for a datagram, is
	// sent once more before its deadline (RFC 3261 20.33, 14.1, 18.1.1).
	Retry bool
	// KeepHeads keeps the head of every open NOTIFY, for Outcome.Head.
	KeepHeads bool
	Monitor   Monitor
	Resolver  Resolver
	// Registers, if set, keeps third-party REGISTERs while the server cannot be reached.
	// They are answered 200.
	Registers Registers
	// Own is about rewatch's own requests.
	Own own.Config
	// Delivered is told how a NOTIFY that Deliver sent has ended, and again, with Late, if a
	// response comes after the deadline. It must not block.
	Delivered func(id uint64, o dialogs.Outcome)
	// Probe asks the presence server by one way whether it is there (OPTIONS), and blocks until
	// that is known. Nil: only traffic tells.
	Probe func(ctx context.Context, way resolve.Hop) error
	// Tap, if set, is shown every message as it is on the wire.
	Tap socket.Tap
	// ServerChanged is told when the server goes down or comes back. It must not block.
	ServerChanged func(up bool, detail string)
	// ClientTLS gives the TLS configuration of a connection that is about to be opened.
	ClientTLS func() *tls.Config
	// Dial opens streams; nil means the system's network.
	Dial func(ctx context.Context, side dialogs.Side, addr netip.AddrPort) (net.Conn, error)
	Log  zerolog.Logger
	// Reg takes the metrics. Dropped is rewatch_dropped_total, with the label
	// reason, which others count in as well; nil: made and registered here.
	Reg     prometheus.Registerer
	Dropped *prometheus.CounterVec
	// Forgotten is rewatch_forgotten_total, with the label what; nil as above.
	Forgotten *prometheus.CounterVec
}

func (c *Config) defaults() {
	c.T1 = cmp.Or(c.T1, policy.T1)
	c.T2 = cmp.Or(c.T2, 8*policy.T1)
	if c.Namers == nil {
		c.Namers = observe.NewNamers(observe.ByHop, nil)
	}
	if c.Reg == nil {
		c.Reg = prometheus.NewRegistry()
	}
	if c.Dropped == nil {
		c.Dropped = metrics.NewDropped(c.Reg)
	}
	if c.Forgotten == nil {
		c.Forgotten = metrics.NewForgotten(c.Reg)
	}
}
