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
	"rewatch/proxy/observe"
	"rewatch/proxy/resolve"
	"rewatch/proxy/route"
)

// Monitor is told what passes, and rules on it. Package dialogs implements it.
type Monitor interface {
	Subscribe(*dialogs.Message) dialogs.Ruling
	SubscribeDone(*dialogs.Message)
	Notify(*dialogs.Message) (dialogs.Ref, dialogs.Ruling)
	NotifyDone(dialogs.Ref, dialogs.Outcome) dialogs.Verdict
	// Announce follows NotifyDone, once the answer to a NOTIFY that got no 2xx has left.
	Announce(ref dialogs.Ref, cseq uint32)
	Register(*dialogs.Message) dialogs.Ruling
	RegisterDone(*dialogs.Message)
	// Heard is told of any other request of the core, while the Monitor Waits for a sign
	// of life.
	Heard(*dialogs.Message)
	Waits() bool
	// Safe calls a function, now or later, when what the Monitor knows by now outlives the
	// process.
	Safe(then func())
}

// Registers keeps third-party REGISTERs that the server could not have, until it can.
// Package dialogs/fallback implements it.
type Registers interface {
	// On tells whether REGISTERs are answered now; who only observes answers none.
	On() bool
	// Keep keeps the REGISTER of a user, as it is to arrive at the server but for our Via.
	// expires is in seconds, -1: not told. Nothing given is kept itself.
	Keep(user, raw []byte, expires int, at time.Time)
	// Keeps tells whether one of a user is kept, or on its way: the next has to follow it.
	Keeps(user []byte) bool
}

// Resolver finds next hops without blocking. Package resolve implements it.
type Resolver interface {
	Lookup(resolve.Target) ([]resolve.Hop, bool)
	Await(target resolve.Target, asker uint64, done func([]resolve.Hop, error))
}

// Listener is one open socket of one side.
type Listener struct {
	Side dialogs.Side
	// Network is "udp", "tcp" or "tls"; Packet is set for the first, Stream for
	// the others (for tls it does the handshake itself).
	Network string
	Packet  net.PacketConn
	Stream  net.Listener
	// Advertise is the host[:port] that goes into Via and Record-Route; the
	// port defaults to the socket's.
	Advertise string
	// Aliases are further host:port by which neighbours may name this socket.
	Aliases []string
}

// Config is what a Server needs.
type Config struct {
	Listeners []Listener
	// Server is the URI of the presence server, Core those of the next hops into
	// the core that are used when no Route says otherwise.
	Server string
	Core   []string
	// Trusted are the networks whose hosts may talk to the core side.
	Trusted []netip.Prefix
	// Namers say what names the watcher of a SUBSCRIBE; nil: by hop.
	Namers *observe.Namers
	// Reach is where requests toward the core side may go.
	Reach route.Reach
	// HostNamed is told of a host that the presence server has named, with the time at
	// which it is forgotten, or that is forgotten (a zero time). It must not block.
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
	// SingleDatagrams has every datagram go to the kernel by itself, instead of several
	// for one address in one piece.
	SingleDatagrams bool
	// Poller, if set, has one goroutine read all UDP sockets, where the system can do that,
	// and keep a processor of the Go scheduler to itself while datagrams come often
	// (datagram.Poller). It is called when that begins and when it has ended, so that the
	// scheduler can be given one more meanwhile.
	Poller func(held bool)
	// DryRun: no message is changed, and Retry is off, while it is on.
	DryRun *dialogs.DryRun
	// Retry has a NOTIFY that was refused for a while, or that was too long for a
	// datagram, tried once more before its deadline (RFC 3261 20.33, 14.1, 18.1.1).
	Retry bool
	// KeepHeads keeps the head of every open NOTIFY, for Outcome.Head.
	KeepHeads bool
	Monitor   Monitor
	Resolver  Resolver
	// Registers, if set, has third-party REGISTERs answered 200 and kept where the server
	// cannot be reached.
	Registers Registers
	// OwnBranch is the prefix of the Via branches of requests of our own, and
	// OwnResponse takes their responses; it must not keep raw.
	OwnBranch   string
	OwnResponse func(raw []byte) bool
	// OwnReturned is asked about a MESSAGE that came from a neighbour in the core: is
	// it one of our own, by the tag of its From, or by the branch of a Via that looks like
	// ours (nil: there is none)? It must neither block nor keep them. Nil: none is.
	OwnReturned func(tag, branch []byte, neighbour netip.AddrPort) bool
	// Identity is the URI in the From of requests of our own. A MESSAGE from the core
	// that is for it, such as a disposition notification (RFC 5438), is answered here.
	Identity string
	// OwnUnreachable is told the branch of a request of our own that the network
	// refused. It must not block.
	OwnUnreachable func(branch []byte)
	// OwnInterrupted is told the branch of one whose connection was closed on our side,
	// which says nothing of the hop: it is to be sent again. It must not block.
	OwnInterrupted func(branch []byte)
	// Delivered is told how a NOTIFY ended that Deliver sent once more (and once more,
	// with Late, when it is answered after its deadline). It must not block.
	Delivered func(id uint64, o dialogs.Outcome)
	// Probe asks the presence server whether it is there (OPTIONS); it blocks
	// until it is known. Nil: only traffic tells.
	Probe func(ctx context.Context) error
	// Tap, if set, is shown every message as it is on the wire.
	Tap Tap
	// ServerChanged is told when the server goes down or comes back. It must not block.
	ServerChanged func(up bool, detail string)
	// ClientTLS gives what a connection with TLS is made with; it is asked for each.
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
		c.Dropped = NewDropped(c.Reg)
	}
	if c.Forgotten == nil {
		c.Forgotten = NewForgotten(c.Reg)
	}
}
